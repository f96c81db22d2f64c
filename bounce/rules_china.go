package bounce

// qq is QQ Mail and Tencent's mail for companies.
var qq = []Rule{
	{Name: "qq-rate", tag: true, Reason: RateLimited, Text: []string{
		"(ip|domain|sender|connection|mail|user|recipient) frequency limited", "connection denied & qq", "mail frequency",
	}},
	{Name: "qq-recipient-rate", tag: true, Reason: RecipientRate, Text: []string{"mailbox unavailable or access denied"}},
	{Name: "qq-content", tag: true, Reason: SpamContent, Text: []string{
		"mail content denied", "spam & detected", "suspected spam", "spam embedded in mail",
	}},
	{Name: "qq-refused", Reason: RecipientRefused, Text: []string{"mail rejected by recipient", "mail rejected by"}},
	{Name: "qq-bounces", tag: true, Reason: LowReputation, Text: []string{
		"suspected bounce attacks", "suspected spam ip", "ip used by spammer", "spam ip",
	}},
	{Name: "qq-unknown", Reason: BadMailbox, Text: []string{"mailbox not found", "user not found", "no such user"}},
}

// netease is 163.com, 126.com and yeah.net: a tag such as DT:SPM. The first half is
// the step of the transaction.
var netease = []Rule{
	{Name: "netease-spam", tag: true, Reason: SpamContent, Text: []string{"dt spm"}},
	{Name: "netease-authentication", tag: true, Reason: AuthFailed, Text: []string{"mi (spf|dma)"}},
	{Name: "netease-sender", tag: true, Reason: SenderRejected, Text: []string{"mi (spb|imf)", "wm blu", "dt sum"}},
	{Name: "netease-relay", tag: true, Reason: RelayDenied, Text: []string{"rp frl"}},
	{Name: "netease-reputation", tag: true, Reason: LowReputation, Text: []string{"hl (rep|mep)"}},
	{Name: "netease-rate", tag: true, Reason: RateLimited, Text: []string{
		"hl (icc|ifc|ifq|itc)", "mi (dmc|cel|sfq|ccl|stc)", "rp (cel|ccl|qrc|trc)",
	}},
	{Name: "netease-recipients", tag: true, Reason: TooManyRecipients, Text: []string{"rp (drc|rcl)"}},
	{Name: "netease-blocked", tag: true, Reason: IPBlocked, Text: []string{"hl (ihu|ipb)", "dt rbl", "wm bli"}},
	{Name: "netease-hello", tag: true, Reason: NoPTR, Text: []string{"mi nhd"}},
	{Name: "coremail-unknown", Reason: BadMailbox, Text: []string{"user not found"}},
	{Name: "coremail-disabled", Reason: MailboxDisabled, Text: []string{"user (hangup|suspended)"}},
}
