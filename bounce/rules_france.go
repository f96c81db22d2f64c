package bounce

// orange is Orange, Wanadoo and La Poste: French and English, and a number behind
// OFR or LPN.
var orange = []Rule{
	{Name: "orange-full", tag: true, Reason: MailboxFull, Text: []string{
		"{ofr} (417|422)", "recipient overquota", "boite destinataire pleine",
	}},
	{Name: "orange-disabled", tag: true, Reason: MailboxDisabled, Text: []string{
		"{ofr} (418|420)", "{lpn} 426", "boite destinataire archivee", "compte destinataire (bloque|suspendu)",
		"recipient account isblocked",
	}},
	{Name: "orange-authentication", tag: true, Reason: AuthFailed, Text: []string{
		"emetteur invalide & spf", "{lpn} & spf", "{ofr} & spf", "verifier configuration spf",
	}},
	{Name: "orange-sender", tag: true, Reason: SenderRejected, Text: []string{
		"{ofr} (403|405|415)", "{lpn} (405|415)", "emetteur invalide invalid sender",
	}},
	{Name: "orange-unknown", tag: true, Reason: BadMailbox, Text: []string{
		"{ofr} 416", "{lpn} (401|402)", "adresse au moins destinataire invalide",
	}},
	{Name: "orange-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"{ofr} (101|102|103|999)", "{lpn} (101|102|103)", "ip source bloquee", "bloques par nos services",
	}},
	{Name: "orange-rate", tag: true, Reason: RateLimited, Text: []string{
		"{ofr} (104|105|109)", "{lpn} (104|105|109)", "trop connexions veuillez", "veuillez ralentir",
	}},
	{Name: "orange-spam", tag: true, Reason: SpamContent, Text: []string{"{ofr} 506", "{lpn} 506", "mail rejete mail rejected"}},
	{Name: "laposte-policy", tag: true, Reason: Policy, Text: []string{"{lpn} 630"}},
	{Name: "orange-busy", tag: true, Reason: System, Text: []string{"{ofr} (501|502|503|505)"}},
	{Name: "orange-refused", tag: true, Reason: LowReputation, Text: []string{
		"service refuse veuillez essayer plus tard", "{ofr} 510", "{lpn} (107|108|510)",
	}},
}
