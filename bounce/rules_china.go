package bounce

// qq is QQ Mail and Tencent's mail for companies.
var qq = []Rule{
	{Name: "qq-rate", tag: true, Reason: RateLimited, Text: []string{"(ip|domain|sender|connection|mail|user|recipient) frequency limited", "connection denied & qq", "mail frequency"}},
	{Name: "qq-denied", tag: true, Reason: RateLimited, Text: []string{"mailbox unavailable or access denied"}},
	{Name: "qq-content", tag: true, Reason: SpamContent, Text: []string{"mail content denied", "spam & detected", "suspected spam"}},
	{Name: "qq-refused", Reason: RecipientRefused, Text: []string{"mail rejected by recipient", "mail rejected by"}},
	{Name: "qq-bounces", tag: true, Reason: LowReputation, Text: []string{"suspected bounce attacks", "suspected spam ip", "ip used by spammer", "spam ip"}},
	{Name: "qq-unknown", Reason: BadMailbox, Text: []string{"mailbox not found", "user not found", "no such user"}},
}

// netease is 163.com, 126.com and yeah.net: a tag such as DT:SPM.
var netease = []Rule{
	{Name: "netease-spam", tag: true, Reason: SpamContent, Text: []string{"dt (spm|sum|spu)", "mi (spb|spc)"}},
	{Name: "netease-rate", tag: true, Reason: RateLimited, Text: []string{"mi (dmc|cel|sfq|sol|fcs|stc|rcl)", "rp (rcl|trc|cel|drc|qrc|cnl|dmc)"}},
	{Name: "netease-blocked", tag: true, Reason: IPBlocked, Text: []string{"mi (ipb|uip|bip)", "rp (ipb|rbl)"}},
	{Name: "netease-hello", tag: true, Reason: NoPTR, Text: []string{"mi nhd", "mi hel"}},
	{Name: "netease-spf", tag: true, Reason: AuthFailed, Text: []string{"mi (spf|dkm|dmr)"}},
	{Name: "netease-unknown", tag: true, Reason: BadMailbox, Text: []string{"mi (nfu|unk)", "user not found", "user suspended not found"}},
}
