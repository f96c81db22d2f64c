package bounce

// clearStatus is what an enhanced status code says where no clear words did
// (RFC 3463, and the registry of IANA).
var clearStatus = []Rule{
	{Name: "status-mailbox", Status: "x.1.1", Reason: BadMailbox},
	{Name: "status-domain", Status: "x.1.2", Reason: BadDomain},
	{Name: "status-address-syntax", Status: "x.1.3", Reason: BadMailbox},
	{Name: "status-moved", Status: "x.1.6", Reason: MailboxMoved},
	{Name: "status-null-mx", Status: "x.1.10", Reason: BadDomain},
	{Name: "status-full", Status: "x.2.2", Reason: MailboxFull},
	{Name: "status-length", Status: "x.2.3", Reason: TooLarge},
	{Name: "status-not-accepting", Status: "4.3.2", Reason: System},
	{Name: "status-too-big", Status: "x.3.4", Reason: TooLarge},
	{Name: "status-congestion", Status: "x.4.5", Reason: RateLimited},
	{Name: "status-loop", Status: "x.4.6", Reason: Loop},
	{Name: "status-expired", Status: "x.4.7", Reason: Expired},
	{Name: "status-too-many", Status: "x.5.3", Reason: TooManyRecipients},
	{Name: "status-list", Status: "x.7.2", Reason: RecipientRefused},
	{Name: "status-auth", Status: "x.7.8-14", Reason: AuthRequired},
	{Name: "status-owner", Status: "x.7.17", Reason: MailboxMoved},
	{Name: "status-domain-owner", Status: "x.7.18", Reason: BadDomain},
	{Name: "status-dkim", Status: "x.7.20-24", Reason: AuthFailed},
	{Name: "status-ptr", Status: "x.7.25", Reason: NoPTR},
	{Name: "status-authentication", Status: "x.7.26", Reason: AuthFailed},
	{Name: "status-null-mx-sender", Status: "x.7.27", Reason: SenderRejected},
	{Name: "status-flood", Status: "x.7.28", Reason: RateLimited},
	{Name: "status-arc", Status: "x.7.29", Reason: AuthFailed},
	{Name: "status-requiretls", Status: "x.7.30", Reason: TLSRequired},
}

// vagueStatus is what is used for many things.
var vagueStatus = []Rule{
	{Name: "status-address", Status: "5.1.0", Commands: []Command{Rcpt}, Reason: BadMailbox},
	{Name: "status-ambiguous", Status: "5.1.4", Reason: BadMailbox},
	{Name: "status-not-compliant", Status: "x.1.9", Reason: ContentRefused},
	{Name: "status-disabled", Status: "x.2.1", Reason: MailboxDisabled},
	{Name: "status-expansion", Status: "x.2.4", Reason: System},
	{Name: "status-system", Status: "x.3.x", Reason: System},
	{Name: "status-route", Status: "x.4.x", Reason: Network},
	{Name: "status-protocol", Status: "x.5.1-6", Reason: Protocol},
	{Name: "status-content", Status: "x.6.x", Reason: ContentRefused},
	{Name: "status-security", Status: "x.7.x", Reason: Policy},
	{Name: "status-temporary", Status: "4.x.x", Reason: System},
}

// codes is what is left: the reply code and the command alone.
var codes = []Rule{
	{Name: "code-no-mail", Code: "521", Reason: BadDomain, Verdict: Soft, Action: SuppressAfter}, // QUIRK: AOL and others refuse senders so
	{Name: "code-no-mail-domain", Code: "556", Reason: BadDomain},
	{Name: "code-connect", Code: "5", Commands: []Command{Connect, Hello}, Reason: IPBlocked},
	{Name: "code-mail", Code: "5", Commands: []Command{Mail}, Reason: SenderRejected},
	{Name: "code-551", Code: "551", Reason: MailboxMoved, Verdict: Soft},
	{Name: "code-552", Code: "552", Reason: MailboxFull},
	{Name: "code-temporary", Code: "4", Reason: System},
	{Name: "code-syntax", Code: "50", Reason: Protocol},
	{Name: "code-auth", Code: "53", Reason: AuthRequired},
	{Name: "code-rcpt", Code: "55", Commands: []Command{Rcpt}, wordless: true, Reason: BadMailbox},
}
