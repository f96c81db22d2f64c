package bounce

// yahoo is Yahoo and the mailboxes that it took over (AOL, Verizon, AT&T, and by
// and by Comcast): mostly no status, but tags in brackets. It often answers for an
// unknown user only after the message.
var yahoo = []Rule{
	{Name: "yahoo-authentication", tag: true, Reason: AuthFailed, Text: []string{"yahoo required all senders to authenticate"}},
	{Name: "yahoo-deferred", tag: true, Reason: LowReputation, Text: []string{
		"(tss01|tss02|tss03|tss04|tss05|tss06|tss07|tss08|tss09|tss10|tss11|tss12|ts01|ts02|ts03)",
		"deferred due to user complaint", "deferred due to unexpected volume", "message permanently deferred",
		"ip will be permanently deferred",
	}},
	{Name: "yahoo-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"(bl21|bl22|bl23|bl24|gl01|ipts04)", "connection not accept from ip",
	}},
	{Name: "yahoo-policy", tag: true, Reason: Policy, Text: []string{"ph01", "not accept for policy reasons", "mail not accept for policy"}},
	{Name: "yahoo-from", tag: true, Reason: SenderRejected, Text: []string{
		"unresolvable rfc 5321", "unresolvable rfc 5322", "due to unresolvable & from",
	}},
	{Name: "yahoo-disabled", tag: true, Reason: MailboxDisabled, Text: []string{
		"delivery error dd & (no longer valid|disabled|discontinued)", "message & not delivered mailbox disabled",
		"mailbox disabled 554",
	}},
	{Name: "yahoo-unknown", tag: true, Reason: BadMailbox, Text: []string{
		"delivery error dd & account", "delivery error dd & not exist", "requested mail action aborted mailbox not found",
		"user not have & yahoo & account",
	}, Unless: []string{"quota"}},
	{Name: "yahoo-aborted", tag: true, Reason: MailboxDisabled, Verdict: Soft, Text: []string{"delivery error dd requested mail action aborted"}},
	{Name: "yahoo-recipient-rate", Reason: RecipientRate, Text: []string{"receiving mail too quickly"}},
	{Name: "yahoo-connections", tag: true, Reason: RateLimited, Text: []string{
		"max message per connection reached", "vs1 mf", "vs1 ip", "excessive unknown recipient",
	}},
	{Name: "yahoo-lookup", Reason: SenderRejected, Status: "5.4.4", Text: []string{"domain lookup failed"}},
	{Name: "yahoo-busy", Reason: System, Text: []string{"temporary domain failed", "resources temporarily"}},

	// AOL, before it moved: a family, and one of its members, as in (RLY:B1).
	{Name: "aol-ptr", tag: true, Reason: NoPTR, Text: []string{"dns nr", "rtr rd"}},
	{Name: "aol-content", tag: true, Reason: SpamContent, Text: []string{"hvu b1"}},
	{Name: "aol-sender", tag: true, Reason: SenderRejected, Text: []string{"rly sn"}},
	{Name: "aol-rate", Reason: RateLimited, Code: "4", Text: []string{"dyn", "con", "rly"}},
	{Name: "aol-blocked", Reason: IPBlocked, Text: []string{"rtr", "rly", "con", "dyn"}},
	{Name: "aol-refused", Reason: Policy, Text: []string{"aol not accept delivery of message"}},
}
