package bounce

// aboutRecipient is what servers of all kinds say of the mailbox and its domain,
// in English.
var aboutRecipient = []Rule{
	{Name: "moved", Reason: MailboxMoved, Text: []string{
		"{user} (moved|relocated|transferred|migrated)",
		"(mailbox|address|user|account|recipient) (moved|changed|relocated|migrated) to",
		"moved to (new|another|different|other)", "user moved", "no longer on server", "owner changed", "address changed",
		"changed address", "changed mail address", "user not local please try", "user not local try",
		"not local & please try", "not local please forward",
		"left (company|organization|organisation|firm|institution|university|school)",
		"no longer (works|work|employed|with company|student|affiliated|employee|with us|working|associated|part)",
		"new address", "new mail address", "moved permanently", "has moved",
	}},
	{Name: "not-disabled", Reason: System, Text: []string{
		"mailbox (temporarily|temporary) (disabled|suspended|locked|unavailable)",
		"(account|user|mailbox|recipient) temporarily (disabled|suspended|locked|blocked|unavailable|not available|" +
			"inaccessible)",
		"mailbox (locked|busy) & (try|later)", "mailbox (locked|busy|in use)",
	}, Code: "4"},
	{Name: "disabled", Reason: MailboxDisabled, Text: []string{
		"temporary locked", "temporarily locked",
		"{holder} (temporarily |permanently |administratively |)(disabled|suspended|inactive|deactivated|de activated|" +
			"locked|closed|frozen|expired|terminated|cancelled|archived|on hold|dormant|discontinued|withdrawn|turned off|" +
			"deleted|removed|retired|revoked|deprovisioned|decommissioned|held|paused|out of service|offline)",
		"{holder} not (active|activated|enabled|in use|in service)",
		"(user|mailbox|account|recipient|subscriber|customer) (temporarily |permanently |)(blocked|banned|barred|stopped|isblocked)",
		"domain (disabled|suspended|inactive|deactivated|expired|cancelled)",
		"(disabled|suspended|inactive|deactivated|locked|expired|closed|terminated|frozen|dormant|discontinued|" +
			"retired|deleted) {holder}",
		"mailbox not accessed", "mailbox not be accessed", "disabled mailbox", "user disabled", "account disabled",
		"account & (suspended|disabled|deactivated|inactive|closed)", "mailbox & (disabled|deactivated|suspended|closed)",
		"not logged in (for|since|recently)", "administratively (disabled|locked|suspended)",
		"no longer (active|in use|in service|accept|receives|monitored|receiving|used|operational|accept mail|" +
			"accept any|open|maintained|checked)",
		"not accept mail for this user", "(mailbox|account) (frozen|pending|hold)", "not active", "not in use", "inactive mail", "mailboxdisabled", "address retired",
		"deactivated due to", "due to inactivity", "inactivity", "discontinued product",
	}, Unless: []string{"service not active"}},
	{Name: "domain-unknown", Reason: BadDomain, Text: []string{
		"host (unknown|not found|not exist|name not found|name unknown)",
		"unknown (host|domain|mail domain|destination domain|recipient domain|hostname)",
		"(domain|domain name|mail domain|destination domain|dns domain|recipient domain|hostname) (not found|" +
			"not exist|unknown|invalid|not valid|nonexistent|expired|not accept mail|not accept message|" +
			"not accept incoming|not recognized|inactive|not active|not registered|lookup failed nxdomain|" +
			"no longer exist|not receive mail|nonexist|no mx|no mail)",
		"(no such|bad|invalid|unrouteable|nonexistent|non exist|illegal|undefined|unresolvable|unrouteable mail|" +
			"not valid|expired) (domain|host|hostname|host name|mail domain|destination domain|recipient domain|" +
			"domain name|server)",
		"name or service not known", "nxdomain", "no mail enabled subscriptions", "infodomainnonexistent",
		"nonexistentdomain",
		"no (mx|mx record|mx records|mx or a|mx host|mx hosts|mail host|mail hosts|mail server|mail servers|" +
			"mail exchanger|mail exchangers|valid mx|usable mx)",
		"null mx", "nullmx", "(domain|host) not (accept|receive|handle|want) (mail|any mail|message)", "host not accept mail",
		"all relevant mx records point to", "lowest numbered mx record points to local host", "mx & (point|points) to",
		"domain has no", "illegal host", "domain name not found", "host & not found", "domain & not found",
		"domain & not exist", "domain & (nxdomain|nonexistent)", "no such host", "authoritative answer from name server",
		"not mail domain", "recipient domain & (not found|invalid|not exist|unknown)", "domain part & invalid",
		"dns record not found", "no dns (record|records|entry)", "unable to find (recipient |mail |)domain",
		"not find & recipient domain", "mail domain & not", "not receive mail",
	}, Unless: []string{
		"temporary", "temporarily", "try again", "servfail", "timeout", "timed out", "time out", "local mailbox", "relay", "sender",
		"user unknown", "unknown user", "dns error",
	}},
	{Name: "unknown", Reason: BadMailbox, Text: []string{
		"{user} (unknown|not known|invalid|nonexistent|non exist|not valid|incorrect|not found|not exist|" +
			"not exist in|not recognized|unrecognized|not listed|not here|undefined|not defined|not registered|not local|" +
			"unrouteable|bad|wrong|not present|misspelled|no longer valid|no longer exist|undeliverable|not configured|" +
			"not our customer|not handled|no longer available|no longer here|never exist|not located|not identified|" +
			"not existent|doesn t exist|unlisted|notfound|cannot be found|absent|not in system|not exists|" +
			"unreachable permanently|not hosted|not provisioned|unallocated|not assigned|no exist|not on server|" +
			"not on system|not on this)",
		"{user} & (not exist|no longer exist)", "{user} & not found",
		"(no such|unknown|invalid|nonexistent|not valid|no valid|no|bad|illegal|incorrect|wrong|not local|" +
			"undeliverable|inactive) (mail |local |virtual |destination |recipient |delivery |rcpt |user |target |" +
			"domain |to |active |unknown |invalid )(user|mailbox|account|recipient|addressee|alias|username|local part|" +
			"localpart|address|rcpt)",
		"(no such|unknown|invalid|nonexistent|non exist|unrecognized|not valid|not known|no valid|no|bad|illegal|" +
			"incorrect|wrong|undefined|no matching|missing|unlisted|not local|undeliverable|unrouteable|nosuch|not such|" +
			"not registered|not recognized|no local|not real|dead|no known|fake|not) (user|mailbox|account|recipient|" +
			"receiver|addressee|alias|login|username|subscriber|customer|member|userid|person|local part|localpart|" +
			"rcpt to|rcpt|destination|mail box|mail drop|maildrop|mail account|user name|userid|mailbox user|email user)",
		"(no such|unknown|invalid|nonexistent|non exist|unrecognized|not valid|illegal|incorrect|undeliverable|" +
			"unrouteable|bad|wrong|dead|no such mail|fictitious) (address|recipient address|mail address|to address|" +
			"destination address|local|virtual|id|contact|object|e mail address|email|destination mailbox address|" +
			"address syntax|people|entry)",
		"(address|mail address|recipient address|to address|destination address|local part|localpart|destination|" +
			"rcpt to|mailbox name|destination mailbox|mail box|e mail address|delivery address|domain address|" +
			"name) (unknown|not known|nonexistent|not valid|not found|not exist|no longer exist|no longer valid|" +
			"not recognized|unrecognized|unrouteable|undeliverable|invalid|incorrect|not listed|not registered|" +
			"not deliverable|not configured|wrong|bad|no longer available|non exist|failed validation|lookup failed|" +
			"never exist|not here|not on server|not in directory|not hosted|not assigned|not allocated|doesn t exist|" +
			"not available here|no valid)",
		"not (valid|known|local|registered|recognized|active|real|current) (user|mailbox|account|recipient|" +
			"customer|subscriber|member|alias|addressee|mail address|address|local user|local part|local address|" +
			"mail account|local recipient)",
		"not local (user|mailbox|account|recipient|address)",
		"not (user|mailbox|account|recipient|customer|subscriber|alias|member)",
		"no (mailbox|account|user|one|body|recipient|person|such person|address|such address|such mailbox|such user|" +
			"mail account|record|known user|such object) (here|by|with|matching|found|at|exist|named|in|under|available|" +
			"called|on|for)",
		"there (no|no such) (user|mailbox|account|one|recipient|person|address|mail|mail address)", "there no one",
		"not know (user|recipient|account|address|mailbox)", "not any (user|mailbox|account|recipient)", "nosuchuser",
		"userunknown", "unknownuser", "recipientnotfound", "recipnotfound", "exrecipnotfound", "mailboxnotfound",
		"usernotfound", "user_unknown", "invalidrecipient", "recipientunknown", "invaliduser",
		"not find (user|mailbox|recipient|account|address|mail|mail address|any user)",
		"unable to find (user|mailbox|recipient|account|address)", "failed to find",
		"recipient (verification|verify|callout|lookup|check|validation|address verification) (failed|negative|error)",
		"rcpt verify failed",
		"(not|unable to|failed to) (verify|validate|locate|find|identify) (recipient|user|address|mailbox|account)",
		"not listed in (public |domino |)(name|address|directory|names)", "not listed in directory",
		"not in (directory|user list|validrcptto|recipient list|recipient map|address book|ldap|userdb|" +
			"active directory|alias|accept list of recipient|list of valid recipient|table)",

		"not found in (directory|database|system|ldap|active directory|domain|list|local|recipient|address book|mailbox)",
		"unrouteable address", "unrouteable mail", "unrouteable", "address not (resolve|recognized|exist|found)",
		"invalid mailbox path", "bad destination", "no valid (recipient|rcpt|destination|user)",
		"all recipient (refused|rejected|invalid|failed)", "all recipients invalid", "undeliverable address",
		"unknown illegal alias", "illegal alias", "not have (account|mailbox|mail account|yahoo account|mail address)",
		"not have & account", "doesn t have & account", "has no (mailbox|account|mail)", "no mailbox",
		"mailbox name not (allowed|found|exist)", "unknown (here|locally)", "not known (here|at|in|to)", "not our customer",
		"not customer", "user lookup failed", "recipient lookup failed", "local delivery failed & unknown",
		"in (virtual|local|relay|recipient) (mailbox|alias|recipient|user|domain) table", "unknown in (virtual|local|relay)",
		"never received mail & not", "chkuser", "badrcptto", "not assigned to", "unassigned",
		"no record of (account|user|mailbox|address|recipient)", "unallocated",
		"check (address|spelling|recipient|recipient address|recipients|mail address)", "typo", "typos", "mistyped",
		"misspelled", "mis spelled", "nobody (here|by)", "no one here", "not deliverable (here|to)",
		"delivery to address not", "(invalid|unknown|bad) rcptto", "no such mail", "no account", "no user", "no recipient", "no matches",
		"not configured to receive mail", "not provisioned", "unprovisioned", "no forwarding address",
		"unknown at this address", "no delivery address", "address no longer", "mailbox no longer",
		"recipient address reserved", "single label domain", "single label domains", "no local mailbox", "not valid mailbox",
		"not delivered to any mailbox", "invalid or unknown", "unknown or invalid", "invalid final delivery userid",
		"check if address", "unknown or illegal",
	}, Unless: []string{
		"address verification in progress", "verification in progress", "sender unknown", "unknown sender", "sender address",
		"no mailbox server", "no mailbox available temporarily", "command not", "unrecognized command",
	}},
	{Name: "recipient-closed", Reason: BadMailbox, Text: []string{"recipient address rejected access denied"}},
	{Name: "no-exist", Reason: BadMailbox, Text: []string{"not exist", "no longer exist", "no exist", "never exist"}, Unless: []string{
		"whitelist", "allow list", "url", "link", "certificate", "dns record", "mx record", "hostname", "host name", "policy",
		"key", "file", "page", "service", "command", "return address", "from address",
	}},
	{Name: "no-such", Reason: BadMailbox, Commands: []Command{Rcpt}, Text: []string{"no such"}},
	{Name: "unavailable", Reason: BadMailbox, Code: "5", Text: []string{
		"mailbox (not available|unavailable|inaccessible|not accessible)", "no mailbox by that name",
		"(recipient|user|account) (unavailable|not available)",
	}, Unless: []string{
		"policy", "security", "temporarily", "try again", "later", "block", "denied", "access",
	}},
}

// vagueWords stand after the status codes that are clear.
var vagueWords = []Rule{
	{Name: "recipient-access-denied", Reason: RecipientRefused, Status: "5.7.x", Text: []string{"recipient address rejected", "recipient rejected"}, Unless: []string{
		"recipient address rejected access denied", "policy violation", "media error",
	}},
	{Name: "expired", Reason: Expired, Text: []string{
		"(delivery|message|queue|retry|mail) (time |timeout |lifetime |)expired", "has been in queue too long",
		"in queue too long", "retry (timeout|time) (exceeded|not reached)", "message delayed", "past expiration", "expired",
		"maximum queue", "message timeout", "still undelivered", "too old", "giving up after",
		"unable to deliver (message |mail |)(after|for|within)",
		"not be delivered (after|for|within|in) & (days|hours|hour|day)", "undelivered after", "undeliverable after",
		"no further attempts", "delivery attempts & (exceeded|failed)", "delivery failed & attempts",
		"maximum delivery attempts", "too many attempts", "delivery time",
	}, Unless: []string{"certificate", "system error"}},
	{Name: "network", Reason: Network, Text: []string{
		"connection (timed out|timeout|refused|reset|lost|closed|dropped|failed|aborted|died|broken|unexpectedly|" +
			"attempt failed)",
		"connection to & (failed|timed out|refused)", "timed out", "timeout", "time out", "no route",
		"network (unreachable|error|down|problem|failed)",
		"(host|server|destination|domain) (unreachable|down|not reachable|not responding|not answering|unresponsive|" +
			"not respond)",
		"not (connect|contact|reach|establish)", "unable to (connect|contact|reach|open connection|establish)",
		"failed to connect", "dns (query |lookup |server |)(failed|error|timeout|problem|servfail|lookup|query|resolution)",
		"name server (failed|error|temporary|timeout|problem)", "servfail", "server misbehaving",
		"temporary failed in name resolution", "name resolution", "no answer from", "unreachable", "broken pipe",
		"i o timeout", "eof", "lost (connection|input channel)", "name service error", "lookup failed",
		"domain lookup failed", "not find (any host|host|mx|mail server|route)", "couldn t find any host", "read error",
		"write error", "connect failed", "connection refused", "socket error", "winsock", "ssl error", "no hosts",
		"try again & name server", "delivery temporarily suspended & connect", "connect to", "cname lookup", "dns error",
		"unable to resolve", "not resolve", "bad connection", "incorrect hostname used",
	}},
	{Name: "protocol", Reason: Protocol, Text: []string{
		"syntax (error|invalid)", "bad sequence",
		"(command|parameter|parameters|argument|arguments|option|verb|extension|keyword) (not |)(implemented|" +
			"unrecognized|recognized|unknown|supported|allowed|invalid|rejected|unexpected|understood|disabled|out of|" +
			"too long)",
		"(unrecognized|unknown|invalid|unexpected|bad|unsupported|illegal|unimplemented|improper) (command|parameter|" +
			"parameters|syntax|argument|arguments|smtp|sequence|use of|option|data)",
		"not implemented", "command not", "send (hello|helo|ehlo) first", "polite people", "say (hello|helo|ehlo)",
		"(need|expected|no|missing|must|issue) (mail|rcpt|helo|ehlo) (command|first|before|from)", "helo first", "ehlo first",
		"pipelining", "out of (sequence|order)", "protocol (error|violation)", "synchronization error", "smtputf8", "eai",
		"nested mail", "too many syntax",
	}, Unless: []string{"policy"}},
	{Name: "policy-clear", Reason: Policy, Text: []string{
		"(due to|by|for|violated|violation|against|local|security|organization|company|corporate|content|site|" +
			"message) policy",
		"policy (restriction|restrictions|reasons|reason|violation|rejected|reject)",
	}},
	{Name: "system", Reason: System, Text: []string{
		"(system|server|service|internal|local|mailer|operating system|software|configuration|processing|io|i o|disk|" +
			"database|ldap|backend|lookup|queue|file|temporary|storage|program|script|pipe|mail system|remote|fatal|" +
			"unknown|unexpected|general|technical|mail server|temporary local|milter|filter|scanner|antivirus) (server |" +
			"configuration |processing |internal |)(error|failed|problem|fault|difficulties|trouble|busy|issue|problems|" +
			"malfunction|exception|failure)",
		"misconfigured", "misconfiguration",
		"server (busy|overloaded|down|unavailable|not available|too busy|shutting|closing|not ready|error)",
		"service (temporarily |)(unavailable|not available|not active|busy|not ready|stopped)",
		"temporarily (unavailable|unable|rejected|not available|out of order|suspended|deferred|down|failed|" +
			"inaccessible|refused)",
		"(resource|resources) (temporarily |)(unavailable|restricted|limit|exhausted|not available)",
		"insufficient (system|resource|resources|disk|memory|storage|system resources)",
		"system (not accept|full|resource|resources|load|busy|down|unavailable|incorrectly)", "mail system (full|not accept)",
		"(disk|filesystem|file system|spool|storage) (full|space|error)", "no space left", "insufficient disk",
		"unable to (process|deliver|open|create|write|accept|complete|handle|queue|lock)", "error in processing",
		"requested action aborted", "queue file", "insufficient permission", "insufficient permissions",
		"not (open|create|write|lock|deliver|process) ", "not open", "not create", "not lock", "try again", "try later",
		"retry later", "please retry", "please try", "transaction failed", "mailer error", "procmail", "maildrop", "pipe to",
		"exit (status|code)", "exited with", "out of memory", "too busy", "(high|load|heavy) (load|average|too high)",
		"load average", "maintenance", "closing (transmission channel|connection|transmission)", "shutting down",
		"overloaded", "aborted", "retry", "come back later", "temporary", "temporarily", "deferred", "user database",
		"x unix", "local delivery failed", "operating system", "sysexits", "command died", "core dump", "not running", "unavailable",
	}},
	{Name: "sender-words", Reason: SenderRejected, Text: []string{
		"unauthorized sender", "{sender} & (rejected|denied|refused|blocked|invalid)",
	}},
	{Name: "policy", Reason: Policy, Text: []string{
		"policy", "not (allowed|permitted|authorized|accept|acceptable|welcome)", "administrative prohibition",
		"administratively", "administrator", "prohibited", "prohibits", "security", "forbidden", "access denied", "denied",
		"violation", "abuse", "disallowed", "unauthorized", "firewall", "restricted", "restriction", "compliance",
		"terms of service", "filtered", "quarantine", "quarantined", "no permission", "rule", "custom domain",
	}},
	{Name: "recipient-rejected", Reason: BadMailbox, Code: "5", Text: []string{
		"(recipient|rcpt) (address |)(rejected|refused|failed)", "address rejected", "(rejected|refused) (recipient|address)",
		"recipient unavailable",
	}, Unless: []string{"temporarily"}},
	{Name: "refused", Reason: Policy, Text: []string{"rejected", "refused", "blocked", "not accept", "declined"}},
}
