package bounce

// outlook is Outlook.com for consumers: a code, sometimes a status, and a number
// such as (S3140).
var outlook = []Rule{
	{Name: "outlook-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"(s3140|s3150|as3140|as3150)", "part of network on blocked list", "network on our blocked list",
		"(sc|dy|ou) (001|002|003|004)",
	}},
	{Name: "outlook-rate", tag: true, Reason: RateLimited, Text: []string{"rp (001|002|003)"}},
	{Name: "outlook-reputation", tag: true, Reason: LowReputation, Text: []string{"temporarily rate limited due to ip reputation"}},
	{Name: "outlook-unknown", Reason: BadMailbox, Code: "5", Text: []string{"requested action not taken mailbox unavailable"}},
	{Name: "outlook-unknown-tag", tag: true, Reason: BadMailbox, Text: []string{"mailbox unavailable s2017062302"}},
	{Name: "outlook-domain", tag: true, Reason: BadDomain, Text: []string{"not delivered to recipient domain not reachable"}},
	{Name: "outlook-full", Reason: MailboxFull, Code: "552", Text: []string{"requested mail action aborted exceeded storage"}},
}

// exchangeOnline is Microsoft 365, where the status carries the meaning.
var exchangeOnline = []Rule{
	{Name: "exo-unknown", tag: true, Reason: BadMailbox, Status: "5.4.1", Text: []string{"recipient address rejected"}},
	{Name: "exo-no-recipient", Status: "5.4.1", Reason: BadMailbox},
	{Name: "exo-recipient", tag: true, Reason: BadMailbox, Status: "5.1.10", Text: []string{
		"recipientnotfound", "recipient not found", "not found by smtp address lookup", "not found",
	}},
	{Name: "exo-recipient-status", Status: "5.1.10", Reason: BadMailbox},
	{Name: "exo-remote-unknown", tag: true, Reason: BadMailbox, Text: []string{
		"remote server returned unknown recipient", "returned invalid or nonexistent",
	}},
	{Name: "exo-banned-recipient", tag: true, Status: "5.7.504-505", Reason: MailboxDisabled},
	{Name: "exo-domain", tag: true, Status: "5.4.310", Reason: BadDomain, Text: []string{"domain & not exist", "infodomainnonexistent"}},
	{Name: "exo-connections", tag: true, Reason: RateLimited, Status: "4.7.652", Text: []string{"exceeded maximum number of connections"}},
	{Name: "exo-throttled", tag: true, Reason: LowReputation, Code: "4", Status: "4.7.500-699", Text: []string{
		"access denied try again later", "access denied please try again", "ip reputation", "try again later", "server busy",
	}},
	{Name: "exo-throttled-status", tag: true, Status: "4.7.500-699", Reason: LowReputation},
	{Name: "exo-throttled-more", tag: true, Status: "4.7.850-899", Reason: LowReputation},
	{Name: "exo-banned-ip", tag: true, Status: "5.7.606-649", Reason: IPBlocked},
	{Name: "exo-banned-words", tag: true, Reason: IPBlocked, Text: []string{
		"access denied banned sending ip", "access denied banned sender", "blocked by recipient & customer",
	}},
	{Name: "exo-blocked-by", tag: true, Status: "5.7.507", Reason: IPBlocked, Text: []string{"rejected by recipient"}},
	{Name: "exo-blocked-list", tag: true, Status: "5.7.513", Reason: IPBlocked, Text: []string{"blocked by recipient"}},
	{Name: "exo-spam-abuse", tag: true, Reason: SenderRejected, Status: "5.7.501-503", Text: []string{"spam abuse detected", "banned sender"}},
	{Name: "exo-tenant-block", tag: true, Status: "5.7.703", Reason: Policy},
	{Name: "exo-limits", tag: true, Reason: RateLimited, Status: "5.7.700-750", Text: []string{"tenant", "exceeded threshold", "traffic not accept"}},
	{Name: "exo-permitted-limits", tag: true, Reason: RateLimited, Status: "5.7.508", Text: []string{"exceeded permitted limit"}},
	{Name: "exo-refused", tag: true, Reason: Policy, Status: "5.7.900-999", Text: []string{"delivery not authorized", "message refused"}},
	{Name: "exo-refused-status", tag: true, Status: "5.7.900-999", Reason: Policy},
	{Name: "exo-sender-limit", Status: "5.1.90", Reason: RateLimited},
	{Name: "exo-bad-sender", Status: "5.1.8", Reason: SenderRejected},
	{Name: "exo-recipient-limit", tag: true, Status: "5.2.121-122", Reason: RecipientRate},
	{Name: "exo-restricted", tag: true, Status: "5.7.124", Reason: RecipientRefused, Text: []string{"sender not in allowed senders list"}},
	{Name: "exo-restricted-status", tag: true, Status: "5.7.124-137", Reason: RecipientRefused},
	{Name: "exo-authenticated-only", Status: "5.7.12-13", Reason: RecipientRefused},
	{Name: "exo-journal", tag: true, Status: "5.3.190", Reason: Policy},
	{Name: "exo-tls", tag: true, Status: "x.7.321-325", Reason: TLSRequired},
	{Name: "exo-mta-sts", Status: "x.4.8", Reason: TLSRequired},
	{Name: "exo-dns", tag: true, Status: "x.4.312", Reason: Network, Text: []string{"dns query failed"}},
	{Name: "exo-network", tag: true, Status: "x.4.312-318", Reason: Network},
	{Name: "exo-remote", tag: true, Reason: System, Text: []string{"suspiciousremoteservererror"}},
	{Name: "exo-expired", tag: true, Status: "x.4.300", Reason: Expired},
	{Name: "exo-loop", Status: "x.4.11-14", Reason: Loop},
	{Name: "exo-dmarc", tag: true, Status: "5.7.509", Reason: AuthFailed},
	{Name: "exo-level", tag: true, Status: "5.7.515", Reason: AuthFailed},
	{Name: "exo-helo", tag: true, Status: "5.7.506", Reason: NoPTR},
	{Name: "exo-sender-ip", tag: true, Status: "5.7.511", Reason: IPBlocked},
	{Name: "exo-rfc5322", tag: true, Status: "5.7.512", Reason: ContentRefused},
	{Name: "exo-no-route", tag: true, Status: "5.4.4", Reason: Network, Text: []string{"invalid arguments"}},
	{Name: "exo-malformed", Status: "5.6.11", Reason: ContentRefused},
	{Name: "exo-anonymous", Status: "5.7.57", Reason: AuthRequired},
	{Name: "exo-no-relay", Status: "5.7.54", Reason: RelayDenied},
	{Name: "exo-attribution", Status: "5.7.64", Reason: RelayDenied},
	{Name: "exo-tenant-limit", tag: true, Status: "5.7.232-236", Reason: RateLimited},
	{Name: "exo-unregistered", tag: true, Status: "5.7.750", Reason: SenderRejected},
	{Name: "exo-tenant", tag: true, Status: "5.7.700-749", Reason: RateLimited},
}
