package bounce

// gmail is Gmail and Google Workspace: a code, a status, a sentence, and a link
// that ends in a tag, "?p=NoSuchUser".
var gmail = []Rule{
	{Name: "gmail-unknown", tag: true, Reason: BadMailbox, Text: []string{
		"p nosuchuser", "answer 6596", "mail account you tried to reach not exist", "answer py answer 6596",
	}},
	{Name: "gmail-disabled", tag: true, Reason: MailboxDisabled, Text: []string{
		"p disableduser", "p inactiveuser", "mail account you tried to reach (disabled|inactive)",
	}},
	{Name: "gmail-full", tag: true, Reason: MailboxFull, Text: []string{
		"p overquotatemp", "recipients inbox out of storage", "mail account you tried to reach over quota",
	}, Code: "4"},
	{Name: "gmail-full-for-long", tag: true, Reason: MailboxFull, Action: SuppressAfter, Text: []string{
		"p overquotaperm", "recipients inbox out of storage", "mail account you tried to reach over quota",
	}},
	{Name: "gmail-recipient-rate", tag: true, Reason: RecipientRate, Text: []string{
		"p receivingrate", "p receivingrateperm", "user you trying to contact receiving mail",
	}},
	{Name: "gmail-unsolicited-blocked", tag: true, Reason: IPBlocked, Code: "5", Text: []string{"unusual rate of unsolicited mail"}},
	{Name: "gmail-unsolicited-rate", tag: true, Reason: RateLimited, Text: []string{
		"p unsolicitedratelimiterror", "unusual rate of unsolicited mail", "gmail detected unusual rate of mail",
	}},
	{Name: "gmail-flood", Status: "x.7.28", Reason: RateLimited},
	{Name: "gmail-busy", Reason: System, Text: []string{"mail server temporarily rejected message"}},
	{Name: "gmail-quota", tag: true, Reason: RateLimited, Text: []string{
		"p exceededmaxrecipients", "daily user sending", "daily sending quota", "daily smtp relay",
		"smtp relay (limit|quota)", "peak smtp relay", "mail quota exceeded & gsmtp",
	}},
	{Name: "gmail-authentication", tag: true, Reason: AuthFailed, Text: []string{
		"p unauthenticatedsender", "p dmarcrejection", "rate limited & spf", "rate limited & dkim", "rate limited & dmarc",
		"rate limited & aligned", "blocked because sender unauthenticated",
	}},
	{Name: "gmail-reputation", tag: true, Reason: LowReputation, Text: []string{
		"very low reputation", "p unsolicitediperror", "low reputation of sending",
	}},
	{Name: "gmail-unsolicited", tag: true, Reason: SpamContent, Text: []string{
		"p unsolicitedmessageerror", "p unsolicitedcontenterror", "likely unsolicited mail", "likely suspicious",
		"message suspicious due to nature", "detected that message suspicious",
	}},
	{Name: "gmail-attachment", tag: true, Reason: ContentRefused, Text: []string{
		"p blockedmessage", "p blockedattachment", "answer 6590", "illegal attachment",
		"content presents potential security issue",
	}},
	{Name: "gmail-malformed", tag: true, Reason: ContentRefused, Text: []string{"p rfcmessagenoncompliant", "p headerlimits"}},
	{Name: "gmail-header-size", tag: true, Reason: TooLarge, Text: []string{
		"p header limits", "p maxsizeerror", "p message size", "exceeded googles limit", "exceeded googles message size",
		"exceeded googles header",
	}},
	{Name: "gmail-policy", tag: true, Reason: Policy, Text: []string{"gcdp", "policy that prohibited mail you sent"}},
	{Name: "gmail-relay", tag: true, Reason: RelayDenied, Text: []string{
		"invalid credentials for relay", "mail relay denied", "ip youre using to send mail not authorized",
		"p notauthorizederror",
	}},
	{Name: "gmail-login", tag: true, Reason: AuthRequired, Text: []string{
		"p wantautherror", "p badcredentials", "p invalidsecondfactor", "p weblogindisabled", "p webloginrequired",
		"support google com accounts troubleshooter",
	}, Code: "5"},
	{Name: "gmail-login-later", tag: true, Reason: System, Text: []string{"not authenticate due to temporary system problem"}},
	{Name: "gmail-no-domain", tag: true, Reason: BadDomain, Text: []string{"lookup of & responded with code nxdomain", "returned null mx"}},
	{Name: "gmail-no-answer", tag: true, Reason: Network, Text: []string{"lookup of & responded with code"}},
	{Name: "gmail-group", tag: true, Reason: Policy, Text: []string{"groups google com support", "group you tried to contact & permission"}},
	{Name: "gmail-hello", Reason: LowReputation, Code: "421", Text: []string{"try again later closing connection"}},
	{Name: "gmail-whitelist", tag: true, Reason: IPBlocked, Text: []string{"ip not in whitelist for rcpt domain"}},
	{Name: "gmail-many-domains", tag: true, Reason: TooManyRecipients, Text: []string{
		"multiple destination domain per transaction", "domain policy size per transaction",
	}},
	{Name: "gmail-tls", Status: "x.7.29", Reason: TLSRequired},
	{Name: "gmail-ptr", Status: "x.7.23", Reason: NoPTR},
	{Name: "gmail-unauthenticated", Status: "x.7.24-32", Reason: AuthFailed, Unless: []string{"ptr", "unsolicited"}},
	{Name: "gmail-dmarc", Status: "x.7.40", Reason: AuthFailed},
	{Name: "gmail-sender-limit", Status: "x.4.5", Reason: RateLimited},
}
