package bounce

// orange is Orange, Wanadoo and La Poste: French and English, and a number behind
// OFR or LPN.
var orange = []Rule{
	{Name: "orange-unknown", tag: true, Reason: BadMailbox, Text: []string{"ofr 416", "adresse d au moins un destinataire invalide", "ofr005 416", "lpn007 401", "lpn007 402", "lpn 401", "lpn 402", "au moins destinataire invalide", "destinataire invalide"}},
	{Name: "orange-full", tag: true, Reason: MailboxFull, Text: []string{"ofr 417", "ofr 422", "recipient overquota", "boite destinataire pleine"}},
	{Name: "orange-disabled", tag: true, Reason: MailboxDisabled, Text: []string{"ofr 418", "ofr 420", "lpn007 426", "boite destinataire archivee", "compte destinataire bloque", "recipient account isblocked", "compte destinataire suspendu"}},
	{Name: "orange-sender", tag: true, Reason: SenderRejected, Text: []string{"(ofr004|ofr|ofr005) (405|415|403)", "emetteur invalide invalid sender"}, Unless: []string{"spf", "dns de votre nom"}},
	{Name: "orange-authentication", tag: true, Reason: AuthFailed, Text: []string{"emetteur invalide & spf", "verifier configuration spf"}},
	{Name: "orange-blocked", tag: true, Reason: IPBlocked, Text: []string{"(ofr|ofr000|ofr001|ofr002|ofr003|lpn|lpn007|lpn000) (101|102|103)", "ip source bloquee", "ofr 999", "adresse ip source bloquee pour incident", "bloques par nos services", "ofr004 103"}},
	{Name: "orange-rate", tag: true, Reason: RateLimited, Text: []string{"(ofr|ofr000|ofr001|ofr004|ofr005|lpn|lpn007) (104|105|107|108|109|110)", "trop de connexions", "slow down & ofr", "veuillez ralentir"}},
	{Name: "orange-spam", tag: true, Reason: SpamContent, Text: []string{"(ofr|ofr000|ofr005|ofr006|lpn|lpn007) (506|513|515|517|519)", "mail rejete mail rejected"}},
	{Name: "orange-later", tag: true, Reason: LowReputation, Text: []string{"(lpn007|lpn|ofr|ofr000) (510|511|512|514)"}},
	{Name: "orange-busy", tag: true, Reason: System, Text: []string{"(ofr005|ofr|ofr000) (505|501|502|503)"}},
	{Name: "laposte-policy", tag: true, Reason: Policy, Text: []string{"(lpn000|lpn) 630"}},
}
