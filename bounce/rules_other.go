package bounce

var zoho = []Rule{
	{Name: "zoho-policy", Reason: Policy, Status: "5.7.7", Text: []string{"mail policy violation", "policy"}},
	{Name: "zoho-refused", Reason: RecipientRefused, Text: []string{"mailbox delivery (restricted by|failed) policy"}},
	{Name: "zoho-unknown", Reason: BadMailbox, Text: []string{"user not exist", "invalid recipient"}},
	{Name: "zoho-destination", Reason: SenderRejected, Code: "541", Text: []string{"mail rejected by destination domain"}},
}

// comcast tags its replies: BL000001, RL000001. The binary digits of BL tell which
// block lists it is, ES is for dynamic addresses.
var comcast = []Rule{
	{Name: "comcast-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"(bl000000|bl000001|bl000010|bl000011|bl000100|bl000101|bl000110|bl000111|es000001|es000010)",
		"blocked for spam & comcast",
	}},
	{Name: "comcast-rate", tag: true, Reason: RateLimited, Text: []string{"(rl000001|rl000002|rl000003)"}},
	{Name: "comcast-ptr", tag: true, Reason: NoPTR, Text: []string{"comcast required all mail servers & ptr"}},
	{Name: "comcast-unknown", tag: true, Reason: BadMailbox, Text: []string{"not our customer"}},
}

// cox tags its replies: CXBL, CXTHRT, CXSNDR. The binary digits of IPBL tell which
// block lists it is.
var cox = []Rule{
	{Name: "cox-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"(cxbl|cdrbl|ipbl0001|ipbl0010|ipbl0011|ipbl0100|ipbl0101|ipbl0110|ipbl0111|ipbl1000|ipbl1001|" +
			"ipbl1010|ipbl1011|ipbl1100|ipbl1101|ipbl1110|ipbl1111)",
	}},
	{Name: "cox-rate", tag: true, Reason: RateLimited, Text: []string{"(cxthrt|cxcnct|cxmxrt)"}},
	{Name: "cox-ptr", tag: true, Reason: NoPTR, Text: []string{"cxdns"}},
	{Name: "cox-authentication", tag: true, Reason: AuthFailed, Text: []string{"cxsndr"}},
	{Name: "cox-sender", tag: true, Reason: SenderRejected, Text: []string{"(cxsmtp|cxmj)"}},
}

// spectrum is Charter, Time Warner and Bright House: a number behind AUP#, for its
// policy of acceptable use. Not all are published; none is about the mailbox.
var spectrum = []Rule{
	{Name: "spectrum-rate", tag: true, Reason: RateLimited, Text: []string{"aup (in |)(1310|1320|1330|1340)"}},
	{Name: "spectrum-sender", tag: true, Reason: SenderRejected, Text: []string{"aup & sender rejected"}},
	{Name: "spectrum-later", Reason: RateLimited, Code: "4", Text: []string{"aup"}},
	{Name: "spectrum-blocked", tag: true, Reason: IPBlocked, Text: []string{"aup & (blocked|esmtp server not available)"}},
	{Name: "spectrum-refused", Reason: LowReputation, Text: []string{"aup"}},
}

var att = []Rule{
	{Name: "att-blocked", tag: true, Reason: IPBlocked, Text: []string{"dnsbl rbl", "dnsbl & abuse rbl", "dnsbl attrbl", "abuse rbl"}},
}

// godaddy tags its replies: IB508.
var godaddy = []Rule{
	{Name: "godaddy-busy", tag: true, Reason: System, Text: []string{"ib101"}},
	{Name: "godaddy-reputation", tag: true, Reason: LowReputation, Text: []string{"ib103"}},
	{Name: "godaddy-blocked", tag: true, Reason: IPBlocked, Text: []string{"(ib104|ib105|ib106|ib107|ib110|ib111|ib112|ib113)"}},
	{Name: "godaddy-spam", tag: true, Reason: SpamContent, Text: []string{"ib212"}},
	{Name: "godaddy-login", tag: true, Reason: AuthRequired, Text: []string{"ib401"}},
	{Name: "godaddy-header", tag: true, Reason: ContentRefused, Text: []string{"(ib501|ib502)"}},
	{Name: "godaddy-sender", tag: true, Reason: SenderRejected, Text: []string{"ib506"}},
	{Name: "godaddy-authentication", tag: true, Reason: AuthFailed, Text: []string{"ib508"}},
	{Name: "godaddy-recipients", tag: true, Reason: TooManyRecipients, Text: []string{"ib607"}},
	{Name: "godaddy-virus", tag: true, Reason: Virus, Text: []string{"ib705"}},
}

var amazon = []Rule{
	{Name: "amazon-unknown", Reason: BadMailbox, Status: "5.1.1", Text: []string{"requested action not taken mailbox unavailable"}},
	{Name: "amazon-suppressed", tag: true, Reason: Suppressed, Text: []string{
		"amazon ses & suppression list", "ses account level suppression",
	}},
}
