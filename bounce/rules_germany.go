package bounce

// gmx is GMX, WEB.DE, mail.com and IONOS: no status, several lines of which the
// last decides, and a link that ends in a case, "?c=r0201".
var gmx = []Rule{
	{Name: "gmx-ptr", Reason: NoPTR, Text: []string{"dns ptr", "c rdns"}},
	{Name: "gmx-sender", Reason: SenderRejected, Text: []string{"dns mx"}},
	{Name: "gmx-blocked", Reason: IPBlocked, Text: []string{"no smtp service", "c r0201"}},
	{Name: "gmx-authentication", Reason: AuthFailed, Text: []string{"reject due to (spf|dkim|dmarc) policy"}},
	{Name: "gmx-unknown", Reason: BadMailbox, Code: "5", Text: []string{"mailbox unavailable"}, Unless: []string{
		"blacklisted", "spam", "policy", "dns", "rejected", "sender", "administrative", "try again",
	}},
	{Name: "gmx-rate", Reason: RateLimited, Text: []string{"rate limit reached"}},
	{Name: "gmx-policy", Reason: Policy, Text: []string{"reject due to policy", "administrative reject"}},
	{Name: "gmx-full", Reason: MailboxFull, Text: []string{"quota exceeded", "exceeded storage allocation"}},
	{Name: "gmx-later", Reason: RateLimited, Code: "4", Text: []string{"mailbox unavailable", "requested (mail |)action (not taken|aborted)"}},
	{Name: "gmx-content", Reason: Policy, Code: "554", Text: []string{"transaction failed"}},
}

// tOnline is Telekom's T-Online.
var tOnline = []Rule{
	{Name: "t-online-reputation", tag: true, Reason: LowReputation, Text: []string{"none bad reputation", "reset nowl", "nowl"}},
	{Name: "t-online-spam", tag: true, Reason: SpamContent, Text: []string{"considered as spam or virus"}},
	{Name: "t-online-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"problem occurred & postmaster", "problem occurred & rx t online",
	}},
}
