package bounce

var zoho = []Rule{
	{Name: "zoho-policy", Reason: Policy, Status: "5.7.7", Text: []string{"mail policy violation", "policy"}},
	{Name: "zoho-unknown", Reason: BadMailbox, Text: []string{"user not exist", "invalid recipient"}},
	{Name: "zoho-destination", Reason: SenderRejected, Code: "541", Text: []string{"mail rejected by destination domain"}},
}

// comcast tags its replies: BL000001, RL000001, PT000001.
var comcast = []Rule{
	{Name: "comcast-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"(bl000000|bl000001|bl000002|bl000010|bl000100)", "blocked for spam & comcast",
	}},
	{Name: "comcast-rate", tag: true, Reason: RateLimited, Text: []string{"(rl000001|rl000002|rl000003|rl000010|th000001)"}},
	{Name: "comcast-ptr", tag: true, Reason: NoPTR, Text: []string{"(pt000001|pt000010)", "comcast required all mail servers & ptr"}},
	{Name: "comcast-spam", tag: true, Reason: SpamContent, Text: []string{"(sp000001|sp000010|cf000001)"}},
	{Name: "comcast-unknown", tag: true, Reason: BadMailbox, Text: []string{"not our customer"}},
	{Name: "comcast-sender", Reason: SenderRejected, Text: []string{"(xa000001|sd000001)"}},
}

// cox tags its replies: CXBL, CXTHRT, CXSNDR.
var cox = []Rule{
	{Name: "cox-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"(cxbl|ipbl0001|ipbl0010|ipbl0100|ipbl1000|ipbl0110|cxrbl)", "blocked by & cxbl",
	}},
	{Name: "cox-rate", tag: true, Reason: RateLimited, Text: []string{"(cxthrt|cxcnct|cxmsg|cxmjc)"}},
	{Name: "cox-recipients", tag: true, Reason: TooManyRecipients, Text: []string{"(cxmxrt|cxmxrc)"}},
	{Name: "cox-ptr", tag: true, Reason: NoPTR, Text: []string{"(cxdns|cxhelo|cxehlo)"}},
	{Name: "cox-sender", tag: true, Reason: SenderRejected, Text: []string{"(cxsndr|cxsmtp|cxfrom)"}},
	{Name: "cox-content", tag: true, Reason: SpamContent, Text: []string{"(urlbl011|urlbl|cxurl|cxspam)"}},
	{Name: "cox-policy", tag: true, Reason: LowReputation, Text: []string{"(cxrp|cxmj)"}},
}

// spectrum is Charter, Time Warner and Bright House: a number behind AUP#.
var spectrum = []Rule{
	{Name: "spectrum-rate", tag: true, Reason: RateLimited, Text: []string{
		"aup (in|i|cnct|cxcnct|out|mxrt|lim|r) (1310|1320|1330|1340|1350|1380|1450|1500|1510|1520|1530|1540|1550|1580|1600)",
		"aup (cnct|cxcnct|mxrt|lim)",
	}},
	{Name: "spectrum-blocked", tag: true, Reason: IPBlocked, Text: []string{"aup (i|in) (1000|1010|1020|1090|1100|1200|1210)", "aup bl"}},
	{Name: "spectrum-reputation", tag: true, Reason: LowReputation, Text: []string{"aup r (1800|1810|1820|1830|1840)"}},
	{Name: "spectrum-sender", tag: true, Reason: SenderRejected, Text: []string{"aup (sndr|out) (1300|1310|1320|1330)", "aup sndr"}},
	{Name: "spectrum-ptr", tag: true, Reason: NoPTR, Text: []string{"aup (dns|ptr|rdns|helo)"}},
	{Name: "spectrum-content", tag: true, Reason: SpamContent, Text: []string{"aup (1260|1400|1410|1440|content|c|url)"}},
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
