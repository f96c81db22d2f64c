package bounce

// qq is QQ Mail and Tencent's mail for companies.
var qq = []Rule{
	{Name: "qq-rate", tag: true, Reason: RateLimited, Text: []string{
		"(ip|domain|sender|connection|mail|user|recipient) frequency limited", "connection denied & qq", "mail frequency",
	}},
	{Name: "qq-denied", tag: true, Reason: RateLimited, Text: []string{"mailbox unavailable or access denied"}},
	{Name: "qq-content", tag: true, Reason: SpamContent, Text: []string{"mail content denied", "spam & detected", "suspected spam"}},
	{Name: "qq-refused", Reason: RecipientRefused, Text: []string{"mail rejected by recipient", "mail rejected by"}},
	{Name: "qq-bounces", tag: true, Reason: LowReputation, Text: []string{
		"suspected bounce attacks", "suspected spam ip", "ip used by spammer", "spam ip",
	}},
	{Name: "qq-unknown", Reason: BadMailbox, Text: []string{"mailbox not found", "user not found", "no such user"}},
}

// netease is 163.com, 126.com and yeah.net: a tag such as DT:SPM.
var netease = []Rule{
	{Name: "netease-spam", tag: true, Reason: SpamContent, Text: []string{"dt (spm|sum)", "mi spb"}},
	{Name: "netease-reputation", tag: true, Reason: LowReputation, Text: []string{"hl (rep|mep)"}},
	{Name: "netease-rate", tag: true, Reason: RateLimited, Text: []string{
		"hl (icc|ifc)", "mi (dmc|cel|sfq|sol|ccl|stc)", "rp (rcl|trc|cel|qrc|ccl|cnl)",
	}},
	{Name: "netease-recipients", tag: true, Reason: TooManyRecipients, Text: []string{"rp drc"}},
	{Name: "netease-blocked", tag: true, Reason: IPBlocked, Text: []string{"mi ipb", "rp rbl", "dt rbl", "wm bli"}},
	{Name: "netease-sender", tag: true, Reason: SenderRejected, Text: []string{"wm blu"}},
	{Name: "netease-hello", tag: true, Reason: NoPTR, Text: []string{"mi nhd"}},
	{Name: "coremail-unknown", Reason: BadMailbox, Text: []string{"user not found"}},
	{Name: "coremail-disabled", Reason: MailboxDisabled, Text: []string{"user (hangup|suspended)"}},
}
