package bounce

// servers is the wording of mail servers and filters that general phrases would
// take for something else.
var servers = []Rule{
	// Postfix.
	{Name: "postfix-no-host", Reason: BadDomain, Text: []string{
		"host or domain name not found & type mx host not found", "host or domain name not found & host not found",
		"name service error & type & host not found",
	}, Unless: []string{"try again", "no data record"}},
	{Name: "postfix-null-mx", Reason: BadDomain, Verdict: Soft, Action: Retry, Text: []string{"malformed or unexpected name server reply"}},
	{Name: "postfix-dns-later", Reason: Network, Text: []string{
		"name service error", "dns error", "host not found try again", "domain name not found try again",
	}, Unless: []string{"sender address", "nxdomain", "null mx"}},
	{Name: "postfix-refused", Reason: LowReputation, Text: []string{"refused to talk to me"}, Unless: []string{"blocked", "blacklisted", "listed"}},
	{Name: "postfix-lookup", Reason: System, Text: []string{"temporary lookup failed"}},
	{Name: "postfix-verifying", Reason: System, Text: []string{
		"address verification in progress",
		"unverified address & (timed out|refused|greylisted|lost connection|try again|temporarily)",
		"unverified recipient & (timed out|refused|greylisted|lost connection|try again|temporarily)",
	}},
	{Name: "postfix-sender", Reason: SenderRejected, Text: []string{"sender address rejected"}, Unless: []string{"greylisted", "spf", "dkim", "dmarc", "rate", "throttled"}},
	{Name: "hello-refused", Reason: LowReputation, Code: "421", Commands: []Command{Connect, Hello}, Text: []string{"service not available"}},
	{Name: "no-recipients", Reason: Protocol, Code: "503", Text: []string{"no (valid |)recipient", "recipient first", "need rcpt"}},
	{Name: "no-recipients-left", Reason: Protocol, Status: "5.5.1", Text: []string{"no valid recipient"}},
	{Name: "postfix-client", Reason: NoPTR, Text: []string{"client host rejected not find"}},

	// Exim and cPanel.
	{Name: "exim-verify", Reason: BadMailbox, Text: []string{"account or domain may not exist they may be blacklisted"}, Unless: []string{
		"sender verify", "sender verification", "verification failed for",
	}},
	{Name: "exim-callout", Reason: SenderRejected, Text: []string{"callout verification failed"}, Unless: noSuchUser},
	{Name: "exim-all-failing", Reason: Network, Text: []string{"all hosts & have been failing for", "hosts for & failing for long time"}},
	{Name: "exim-gave-up", Reason: Network, Text: []string{
		"(connection timed out|connection refused|connection reset|host lookup not complete|no route to host|network unreachable) & retry timeout exceeded",
	}},
	{Name: "exim-defers", Reason: RateLimited, Text: []string{"max defers and failures per hour", "max mail per hour"}},
	{Name: "exim-no-service", Reason: BadDomain, Text: []string{"mx or srv record indicated no smtp service", "host with no mailserver"}},
	{Name: "exim-pipe", Reason: System, Text: []string{"pipe to"}},
	{Name: "exim-malformed", Reason: Protocol, Text: []string{"malformed address & may not follow", "malformed address"}},
	{Name: "exim-loop", Reason: Loop, Text: []string{"suspected mail loop"}},

	// Sendmail.
	{Name: "sendmail-headers", Reason: ContentRefused, Text: []string{"headers too large"}},
	{Name: "sendmail-name-server", Reason: Network, Text: []string{"host name lookup failed", "name server & host name lookup"}},
	{Name: "sendmail-real-domain", Reason: SenderRejected, Text: []string{
		"domain name required for sender", "sender domain must exist", "domain of sender address",
	}},
	{Name: "sendmail-disk-quota", Reason: MailboxFull, Text: []string{"not create output & quota exceeded", "disc quota exceeded"}},
	{Name: "sendmail-disk-full", Reason: System, Status: "x.4.5", Text: []string{"insufficient disk space"}},
	{Name: "sendmail-mailer", Reason: System, Text: []string{"unknown mailer error", "mailer error", "not write to & output"}},

	// qmail and vpopmail.
	{Name: "qmail-no-mailbox", Reason: BadMailbox, Text: []string{
		"no mailbox here by that name", "no such address here", "no mailbox by that name here",
	}},
	{Name: "qmail-no-longer", Reason: MailboxDisabled, Text: []string{"address no longer accept mail"}},
	{Name: "qmail-no-host", Reason: BadDomain, Text: []string{
		"not find any host named", "not find mail exchanger or ip", "not find a mail exchanger",
	}},
	{Name: "qmail-cname", Reason: Network, Text: []string{"cname lookup failed temporarily"}},
	{Name: "qmail-best-preference", Reason: Loop, Text: []string{"listed as best preference mx", "control locals"}},
	{Name: "qmail-no-connection", Reason: Network, Text: []string{"not able to establish smtp connection", "wasn't able to establish"}},
	{Name: "qmail-bad-sender", Reason: SenderRejected, Text: []string{"badmailfrom", "bad mail from list"}},
	{Name: "qmail-looping", Reason: Loop, Text: []string{"message looping", "already has my delivered to line", "delivered to line"}},
	{Name: "qmail-too-long", Reason: Expired, Text: []string{"not going to try again & queue too long"}, Unless: []string{
		"full", "quota", "unknown", "rejected", "said", "denied", "exist", "no such", "ldap",
	}},

	// Courier, OpenSMTPD, Haraka.
	{Name: "courier-dns", Reason: BadDomain, Text: []string{"dns violates rfc 1035"}},
	{Name: "courier-domain", Reason: SenderRejected, Code: "517", Text: []string{"domain"}},
	{Name: "opensmtpd-network", Reason: Network, Text: []string{
		"network error on destination", "all routes to destination blocked", "address family mismatch", "bad dns response",
		"temporary failed in mx lookup",
	}},
	{Name: "opensmtpd-expired", Reason: Expired, Text: []string{"envelope expired"}},
	{Name: "haraka-no-deliver", Reason: RelayDenied, Text: []string{"i not deliver mail for"}},

	// Cyrus, Dovecot, MailEnable, Domino.
	{Name: "cyrus-unknown", Reason: BadMailbox, Text: []string{"either there no mailbox associated with"}},
	{Name: "mailenable-relay", Reason: AuthRequired, Text: []string{"required authentication when attempting to send to non local"}},
	{Name: "domino-unlisted", Reason: BadMailbox, Text: []string{
		"not listed in (domino|public) (directory|name)", "recipient user name not unique",
	}},
	{Name: "domino-no-route", Reason: BadDomain, Text: []string{"no route found to domain"}},

	// Exchange on the company's premises, and what it tells the sender.
	{Name: "exchange-recipient", Reason: BadMailbox, tag: true, Text: []string{
		"resolver adr (recipnotfound|recipientnotfound|exrecipnotfound|invalid|invalidinsmtp|badprimary|ambiguous)",
		"resolver fwd notfound", "mail account not exist at organization", "mail address you entered not be found",
	}},
	{Name: "exchange-permission", Reason: RecipientRefused, tag: true, Text: []string{
		"resolver rst (notauthorized|restricted|notauthorizedtogroup)", "resolver grp notauthorized",
		"you not permission to send to recipient", "approval & not received",
	}},
	{Name: "exchange-auth", Reason: AuthRequired, tag: true, Text: []string{"resolver rst authrequired", "resolver rst authrequiredforgroup"}},
	{Name: "exchange-size", Reason: TooLarge, tag: true, Text: []string{"resolver rst (recipsizelimit|sendsizelimit|recipsizelimitforgroup)"}},
	{Name: "exchange-disabled", Reason: MailboxDisabled, tag: true, Text: []string{
		"storedrv deliver mailbox disabled", "mailboxdisabledexception", "storedrv deliver disabled mailbox",
	}},
	{Name: "exchange-full", Reason: MailboxFull, tag: true, Text: []string{
		"quotaexceededexception", "mapiexceptionshutoffquotaexceeded", "mailbox full & storedrv", "recipients mailbox full",
	}},
	{Name: "exchange-busy", Reason: RecipientRate, tag: true, Text: []string{
		"recipient thread limit exceeded", "storedrv deliver & thread limit",
	}},
	{Name: "exchange-rule", Reason: Policy, tag: true, Text: []string{
		"transport rules rejectmessage", "rejected by organization policy", "violate security policy in force",
	}},
	{Name: "exchange-destination", Reason: BadDomain, tag: true, Text: []string{
		"smtpsend dns nonexistentdomain", "destination mail system unknown or invalid",
		"destination server for recipient not found",
	}},
	{Name: "exchange-loop", Reason: Loop, tag: true, Text: []string{"bounce between two servers", "agent generated message depth exceeded"}},
	{Name: "exchange-refused", Reason: RecipientRefused, tag: true, Text: []string{"reached recipients mail system but delivery refused"}},
	{Name: "exchange-relay", Reason: RelayDenied, tag: true, Text: []string{"relay recipient in non accept domain", "tenantattribution"}},

	// Filters in front of many servers.
	{Name: "ironport-reputation", Reason: LowReputation, Text: []string{
		"sending mtas poor reputation", "access to mail system rejected due to", "access to submit message & rejected",
	}},
	{Name: "symantec-policy", Reason: IPBlocked, Text: []string{"connection rejected by policy"}},
	{Name: "spamexperts", Reason: SpamContent, Text: []string{"high probability of spam"}},
	{Name: "recipient-syntax", Reason: BadMailbox, Status: "x.1.3", Text: []string{"not valid rfc", "recipient address", "bad recipient"}},
	{Name: "sender-syntax", Reason: ContentRefused, Status: "x.1.7", Text: []string{"not valid rfc"}},
	{Name: "mail-policy", Reason: Policy, Text: []string{"mailpolicy"}},
	{Name: "message-protocol", Reason: Policy, Commands: []Command{Data, EndOfData}, Text: []string{"protocol violation"}},
	{Name: "fml-duplicate", Reason: System, Text: []string{"duplicated message id"}},
	{Name: "amavis", Reason: SpamContent, Text: []string{"message content rejected ube", "reject id & spam"}},
	{Name: "spamassassin", Reason: SpamContent, Text: []string{"spamassassin"}}, // it lists its tests: DKIM, SPF
	{Name: "bounce-guard", Reason: Policy, Text: []string{"invalid bounce", "backscatter", "bounce address tag", "batv"}},
}
