package bounce

// icloud is iCloud Mail, behind Proofpoint's servers.
var icloud = []Rule{
	{Name: "icloud-policy", tag: true, Reason: Policy, Text: []string{"(cs01|cs02|hm07|hm08|vs01)"}},
	{Name: "icloud-authentication", tag: true, Reason: AuthFailed, Text: []string{"hme1"}},
	{Name: "icloud-private-relay", Reason: SenderRejected, Text: []string{"unauthorized sender"}},
	{Name: "icloud-moved", Reason: MailboxMoved, Text: []string{"recipient no longer on server"}},
	{Name: "icloud-inactive", tag: true, Status: "5.1.1", Reason: BadMailbox, Text: []string{"inactive mail address"}},
	{Name: "icloud-volume", Reason: RateLimited, Text: []string{"deferred due to excessive volume"}},
}
