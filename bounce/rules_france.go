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
		"emetteur invalide & spf", "{lpn} & spf", "{ofr} & spf", "verifier configuration spf", "{lpn} 517",
	}},
	{Name: "orange-sender", tag: true, Reason: SenderRejected, Text: []string{
		"{ofr} (403|405|415)", "{lpn} (405|415)", "emetteur invalide invalid sender",
	}},
	{Name: "orange-unknown", tag: true, Reason: BadMailbox, Text: []string{
		"{ofr} 416", "{lpn} 416", "adresse au moins destinataire invalide",
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
		"service refuse veuillez essayer plus tard", "{ofr} 510", "{lpn} (107|108|503|510)",
	}},
}

// sfr is SFR and the names that it took over, as neuf.fr: a number behind SFR_IN of
// which the last two digits tell why it refuses a server for two hours.
var sfr = []Rule{
	{Name: "sfr-spam", tag: true, Reason: LowReputation, Text: []string{"sfr in (101|201|301|401|501)"}},
	{Name: "sfr-virus", tag: true, Reason: Virus, Text: []string{"sfr in (102|202|302|402|502)"}},
	{Name: "sfr-protocol", tag: true, Reason: Protocol, Text: []string{"sfr in (103|203|303|403|503)"}},
	{Name: "sfr-unknown-users", tag: true, Reason: LowReputation, Text: []string{"sfr in (104|204|304|404|504)"}},
	{Name: "sfr-volume", tag: true, Reason: RateLimited, Text: []string{"sfr in (105|205|305|405|505)"}},
	{Name: "sfr-behaviour", tag: true, Reason: LowReputation, Text: []string{"sfr in", "refused due to bad behavior"}},
}
