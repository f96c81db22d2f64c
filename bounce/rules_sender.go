package bounce

// aboutSender is what servers of all kinds say of the sender: of its rights, its
// authentication, its address and name, its reputation and its rate.
var aboutSender = []Rule{
	{Name: "suppressed", Reason: Suppressed, Text: []string{
		"suppression list", "on suppression", "onaccountsuppressionlist", "account suppression", "address suppressed",
		"recipient suppressed", "previously bounced", "previous hard bounce", "sending to bounced address",
		"sent to bounced address", "sent to unsubscribed address", "in our bounce list", "recipient blacklisted by sender",
		"refusing to send to address that bounced",
	}},
	{Name: "refused-by-recipient", Reason: RecipientRefused, Text: []string{
		"(blocked|rejected|refused|denied|filtered) by (recipient|user|receiver|addressee|account owner|mailbox owner)",
		"(recipient|user|addressee|subscriber) (blocked|refused|not want|not wish|declined|blacklisted) (you|your|" +
			"mail|message|receiving|receive|accept|sender)",
		"sender blocked by recipient", "blocked sender list of recipient", "you blocked by",
		"not allowed to send to (recipient|group|user|list|address|distribution)",
		"not permitted to send to (recipient|group|user|list|address)",
		"not authorized to send to (recipient|group|user|list|address|mailbox)",
		"not (allowed|permitted|authorized) to post",
		"permission to (send|post) to (recipient|group|list|address)",
		"only (accept|allow) (mail|message) from (authorized|internal|approved|known|members|users|certain|specific|" +
			"allowed|trusted|people)",
		"only accept (mail|message) from",
		"not accept (mail|message) from (external|outside|you|unknown|strangers|internet|anyone)",
		"restricted (recipient|group|mailbox|distribution|list)", "recipient restricted", "delivery restriction",
		"delivery restrictions", "members only", "subscribers only", "only members", "only subscribers", "moderated",
		"non member", "not subscribed & list", "not member of", "personal (blacklisted|blocked list|filter)",
		"(recipient|users) (blocked list|blacklisted|filter|whitelist|allow list|safe list|spam filter settings|preferences)",
		"recipient not whitelisted you", "sender not in whitelist", "sender not whitelisted", "not on whitelist",
		"not in recipient whitelist", "not accept mail from non whitelisted", "user reject", "rejected by user",
		"recipient rejected message", "recipient not accept mail from", "not want your mail",
	}},
	{Name: "loop", Reason: Loop, Text: []string{
		"too many hops", "(mail|routing|message|forwarding|delivery|forward|dns) loop",
		"loop (detected|back|found|count|limit)", "loops back", "looping", "hop count exceeded", "hopcount exceeded",
		"too many received", "maximum hop", "max hops", "maximum (number|hop) of hops", "looks like loop", "possible loop",
	}},
	{Name: "greylisted", Reason: Greylisted, Text: []string{
		"greylisted", "grey listed", "gray listed", "postgrey", "grey & try again", "grey rbl", "first time sender",
		"first contact", "unknown triplet", "temporary deferral", "deferred as spam protection", "resend after",
		"come back in", "come back later & spam", "retry & legitimate", "too early to retry", "retry too early",
		"early retry", "new sender & try again", "lista gris", "listas grises", "liste grise", "graue liste", "lista cinza",
	}},
	{Name: "tls-required", Reason: TLSRequired, Text: []string{
		"must issue starttls", "starttls (required|failed|first|not supported|command first|refused|before)",
		"(tls|ssl|encryption|encrypted|session encryption|transport layer security) (connection |session |)(required|" +
			"mandatory|needed|not available|not supported|handshake|negotiation)",
		"(required|must use|must support|use|need) (tls|starttls|encryption|encrypted|ssl)", "starttls & required",
		"tls (handshake|negotiation) & failed", "tls failed", "mta sts", "requiretls", "dane", "tlsa",
		"certificate & (verify|expired|invalid|mismatch|trusted)", "without tls", "no encryption", "not encrypted",
		"unencrypted", "not sent over tls", "tls version",
	}},
	{Name: "relay-denied", Reason: RelayDenied, Text: []string{
		"relay (access |attempt |attempts |from |of mail |mail |through |)(denied|not allowed|not permitted|" +
			"prohibited|rejected|refused|forbidden|disabled|blocked|not authorized|disallowed)",
		"(unable|not|refused|unauthorized|illegal|no|attempted|attempt) to relay",
		"(not|no|don|refused|unauthorized|denied|prohibited|invalid credentials for|not authorized to|" +
			"not permitted to|not allowed to|insecure mail) relay",
		"not allowed to (send|relay|transmit) (mail |)(through|via|from) (server|host)", "remote domain not supported",
		"relay (not|no|from) (permitted|allowed|access)", "relay & denied", "list of allowed rcpthosts", "allowed rcpthosts",
		"rcpthosts", "not gateway", "not mail gateway", "not open relay", "not local host", "not local domain",
		"domain not (hosted|local|handled|served|serviced|configured|ours|accepted here)",
		"domain (not hosted|hosted elsewhere)", "not hosted here", "nonlocal", "non local", "not host (domain|mail)",
		"not authoritative for", "not our domain", "domain not in (list|allowed)", "not final destination",
		"we not handle mail", "not handle mail for", "no mail for domain", "not accept mail for domain",
		"not (mail exchanger|mx|responsible|configured) (for|of) (domain|host|mail)", "not authorized to send mail directly",
		"host not permitted to relay", "mail server not accept mail for domain", "message rejected & identities failed check",
	}},
	{Name: "sender-verify", Reason: SenderRejected, Text: []string{
		"sender (verify|verification|callout|address verification|callback|check) (failed|error|not|)",
		"mailfrom domain & listed in spamhaus",
		"(not|unable to|failed to|complete) (verify|validate) (sender|envelope sender|mail from|return path|from address)",
		"verifying sender", "sender unverified", "unverified sender", "undeliverable sender",
		"verification failed for & sender",
	}, Unless: []string{
		"recipient callout", "recipient verify", "spf", "dkim", "dmarc",
	}},
	{Name: "auth-failed", Reason: AuthFailed, Text: []string{
		"authentication information", "spf", "sender policy framework", "openspf", "dkim", "domainkeys", "domain keys",
		"dmarc", "arc validation", "arc seal", "adsp", "bimi", "unauthenticated (mail|message|sender)",
		"mail unauthenticated", "sender unauthenticated", "message not authenticated", "mail authentication",
		"sender authentication", "message authentication", "authentication (checks|results|check|policy|level)",
		"required authentication level", "pass authentication", "multiple authentication checks failed", "sender id",
		"not designate & permitted sender", "not permitted sender", "not allowed to send mail for",
		"not allowed to send from", "not authorized to send (mail |)(from|for|on behalf|as)", "not designated & host",
		"domain spoofing", "spoofed", "spoofing", "spoof", "forged", "forgery", "impersonation", "impersonating",
		"not authorized to use domain", "from header & aligned", "not aligned with", "misaligned",
	}, Unless: []string{"spam score", "anti spoofing policy"}},
	{Name: "auth-required", Reason: AuthRequired, Text: []string{
		"authentication (required|failed|unsuccessful|needed|rejected|mechanism|data|credentials|credential)", "smtp auth",
		"auth required", "must authenticate", "please authenticate", "required authentication", "authenticate first",
		"not authenticated", "unauthenticated senders", "unauthenticated", "failed to authenticate", "login attempts",
		"authrequired", "not achieve exchange server authentication", "client not authenticated", "username and password",
		"bad credentials", "invalid credentials", "invalid login", "must log in", "please log in", "login first",
		"not logged in", "pop before smtp", "pop3 before smtp", "check mail before sending", "auth first",
		"sender must authenticate", "too many unauthenticated commands", "user authentication",
	}},
	{Name: "no-ptr", Reason: NoPTR, Text: []string{
		"(no|missing|bad|invalid|without|valid|matching|not|correct|proper|fix|failed|required|generic|dynamic|" +
			"check) (ptr|rdns|reverse dns|reverse record|reverse lookup|reverse mapping|reverse hostname|reverse entry|" +
			"reverse address|reverse name|reverse resolution|revdns)",
		"ptr", "rdns", "reverse dns", "reverse lookup", "reverse hostname", "reverse name", "reverse address",
		"reverse resolution", "reverse record", "reverse entry", "reverse mapping", "revdns", "fcrdns", "forward confirmed",
		"forward reverse", "forward dns entry", "forward lookup",
		"not (find|resolve|found) (client |sending |)(hostname|host name|host|ip|server name)", "ip name lookup failed",
		"name lookup failed", "dynamic hostname", "dynamic ip & hostname", "unable to resolve host", "client hostname",
		"fully qualified hostname", "fully qualified domain",
		"(helo|ehlo) (must |)(fqdn|fully qualified)",
		"(helo|ehlo|heloname) (command |name |argument |host |hostname |greeting |)(rejected|invalid|not|bad|" +
			"mismatch|must|unresolvable|forged|check|syntax|policy|restricted|failed|denied|contains|refused)",
		"(bad|invalid|forged|fake|incorrect|wrong|faked|dynamic) (helo|ehlo)", "helo & not resolve", "helo & not fqdn",
		"helo name", "helo & rejected", "access denied & bad helo", "unverifyable sending", "unverifiable sending",
		"domain mismatches client", "mismatches client ip",
		"hostname (not resolve|not match|mismatch|invalid|not authorized)", "ip & hostname & mismatch",
		"server access & forbidden & record",
	}},
	{Name: "domain-listed", Reason: SpamContent, Text: []string{
		"dbl spamhaus", "spamhaus dbl", "surbl", "uribl", "ivmuri",
		"url (blocked|blacklisted|listed|reputation|rejected|filter)",
		"(blocked|blacklisted|bad|malicious|suspicious|spam|prohibited) (url|link|domain in)",
		"link (blocked|blacklisted|listed)", "contains & (url|link) & (blocked|blacklisted|listed)", "domain & listed & dbl",
		"domain & listed & (surbl|uribl)",
	}},
	{Name: "block-list", Reason: IPBlocked, Text: []string{
		"spamhaus", "spamcop", "sorbs", "barracudacentral", "barracuda reputation", "barracudanetworks & reputation",
		"invaluement", "spamrl", "uceprotect", "spfbl", "psbl", "surriel", "nixspam", "manitu", "mailspike",
		"senderscore & blocked", "gbudb", "lashback", "abuseat", "cbl", "xbl", "sbl", "pbl", "njabl", "dsbl", "ordb",
		"mail abuse org", "backscatterer", "hostkarma", "junkemailfilter", "spamrats", "blocklist de", "0spam", "abusix",
		"csi cloudmark", "ers trendmicro", "talosintelligence", "rfc ignorant", "rfc clueless", "rbldns", "anonmails",
		"truncate", "blackholes", "drbl", "nszones", "woody", "swinog", "dnswl", "dnsbl", "rbl", "rbls", "rhsbl",
		"realtime blacklisted", "real time blacklisted", "dns blacklisted", "dns blocked list", "dns block", "black list",
		"blackhole list", "black hole", "blacklisted", "black listed", "blocked list", "block listed", "in bl", "on bl",
		"blacklister",
		"(ip|ip address|host|server|client|hostname|mta|network|netblock|subnet|range|mail server|sending ip|" +
			"source ip|client host|client ip) (temporarily |permanently |automatically |)(blocked|banned|listed|bad|" +
			"barred|rejected|denied|refused|untrusted|not trusted|not welcome|not allowed to connect|" +
			"not permitted to connect|not allowed to send|restricted)",
		"(blocked|banned|listed|denied|refused|untrusted|bad|rejected) (sending |source |client |because of |from |" +
			"by |due to |)(ip|ip address|client|network|host|mta|hostname)",
		"(blocked|listed|denied|rejected|banned) (using|at|because of ip|due to ip|for sending spam|for abuse)",
		"ip address (not|unknown|invalid|unregistered|unrecognized)", "ip (unknown|unregistered|invalid)", "ip & blocked",
		"ip & banned", "ip & listed", "host & blocked using", "client host rejected", "client rejected", "found in & listed",
		"rejected & found in", "connection (rejected|refused|denied) by (policy|admin|administrator|filter)",
		"not allowed to connect", "access denied & banned", "invalid ip for sending", "(ip|host) in (prison|jail)", "no smtp service", "dynamic ip",
		"dial up", "dialup", "dynamic address", "dynamically assigned", "residential", "dynamic pool",
		"geographical location", "country", "geo block", "unblock", "delist", "delisting", "removal from list",
		"remove from list", "request removal", "to be removed", "not accept & from ip", "access to server denied & ip",
		"hijacked", "botnet", "open proxy", "open relay", "compromised",
	}, Unless: []string{
		"user unknown", "unknown user", "no such user", "recipient blocked", "account blocked", "mailbox blocked",
		"host rejected throttled", "server temporarily rejected message",
	}},
	{Name: "recipient-rate", Reason: RecipientRate, Text: []string{
		"receiving mail (at rate|too quickly|too fast|too often)", "user receiving mail", "(mailbox|recipient) receiving too", "recipient thread limit",
		"recipient & receiving too", "{user} received too many", "too many messages for {user}",
		"{user} received too much (mail|message)", "recipient exceeded message rate",
		"{user} & too many messages in", "(recipient|mailbox) & (hourly|per hour|daily) & receive limit",
		"recipients & message receive limit", "too much mail for {user}",
	}},
	{Name: "too-many-recipients", Reason: TooManyRecipients, Text: []string{
		"too much recipient", "too many (recipient|rcpt|rcpts|rcpt to|destination|addressees)",
		"(recipient|rcpt) (limit|count|number) (exceeded|reached|too)", "maximum (number of |)(recipient|rcpt)",
		"number of (recipient|rcpt|rcpts) & (exceeded|limit|too|over)", "recipient per (message|session|connection|domain|transaction|mail)",
		"one recipient at time", "only one recipient", "exceeded & recipient per", "recipient limit",
		"multiple destination domain", "multiple recipient domain", "size per transaction exceeded", "recipient exceeded",
		"more recipient than", "split message",
	}},
	{Name: "rate-limited", Reason: RateLimited, Text: []string{
		"too many (connection|concurrent|simultaneous|session|message|mail|request|smtp|command|error|unknown|" +
			"invalid|bad|attempt|attempts|open|deliveries|delivery|failed|junk|spam|mail sent|sent|parallel|transactions|" +
			"messages from|bounces|rejected|nonexistent|requests|bad recipient)",
		"(connection|message|sending|send|rate|mail|ip|sender|hourly|daily|session|domain|frequency|throttle|volume|" +
			"traffic|outgoing|outbound|submission|transaction|delivery|recipient|minute|hour|day|per hour|per day|" +
			"rcpt) (rate |)(limit|quota|threshold|limitation) (exceeded|reached|over|hit|exhausted)",
		"exceeded (rate|connection|message|sending|hourly|daily|maximum number|max number|permitted|threshold|" +
			"session|concurrent|allowed number|number of) (limit|of|connection)",
		"rate (limit|limited|limiting|control|exceeded|throttled|controlled)", "ratelimit", "ratelimited", "rate limit",
		"throttled", "frequency limited", "frequency limit", "frequency & limited", "thread limit", "thread count",
		"unusual sending", "slower", "too fast", "too quickly", "too frequent", "too frequently", "too often", "slow down",
		"slowdown", "slower", "excessive (volume|rate|number|connection|mail|message)",
		"unusual (rate|volume|traffic|amount)", "unexpected volume", "too much (mail|traffic|message)", "relay quota",
		"sending (quota|limit)", "daily (user |)(sending |)(limit|quota)", "mail quota exceeded", "concurrency", "concurrent",
		"simultaneous",
		"(maximum|max) (number of |message per )(connection|message|mail|concurrent|session|smtp|allowed connection)",
		"(maximum|max) (connection|session|concurrent)", "(max|maximum) message per connection", "connection limit",
		"limit connection", "limit on (number|connection|message)",
		"(message|mail|connection) per (hour|day|minute|second|connection|session)", "exceeded number of (message|mail|connection|recipient)",
		"(hourly|daily|monthly) limit", "exceeded & sending threshold",
		"exceeded & permitted limit", "volume exceeded", "limit exceeded for", "reduce (rate|volume|number)",
		"over limit & (connection|sender|hour|ip)", "flood", "flooding", "dictionary attack", "directory harvest",
		"harvest attack", "harvesting", "burst",
	}, Unless: []string{"receive limit"}},
	{Name: "reputation", Reason: LowReputation, Text: []string{
		"reputation", "reputations", "user complaint", "complaint rate", "spam complaint", "complaint from",
		"volume or user complaint", "temporarily deferred due to", "permanently deferred", "sender score", "senderscore",
		"senderbase", "poor sender", "low sender", "trust score",
		"suspicious (ip|host|server|connection|activity|behavior|behaviour)", "spam abuse detected",
		"history of (spam|abuse)", "sent spam", "source of spam", "spam source", "sending spam", "spammer", "spammers",
	}},
	{Name: "sender-rejected", Reason: SenderRejected, Text: []string{
		"{sender} (not |)(activated|active|enabled|rejected|refused|denied|blocked|allowed|accept|permitted|invalid|unknown|found|bad|" +
			"blacklisted|unresolvable|unverified|valid|unacceptable|authorized|unauthorized|disallowed|banned|" +
			"nonexistent|verified|unrouteable|malformed|misformatted|missing|empty|prohibited|known|suspended|recognized|" +
			"unrecognized|exist|resolve|acceptable|disabled|barred|unwelcome|welcome|undeliverable|syntax|rejected by|" +
			"forbidden|must exist|must resolve|must have|must belong|mismatch)",
		"(invalid|bad|unknown|unverified|unauthorized|blocked|rejected|blacklisted|forbidden|unresolvable|no such|" +
			"nonexistent|banned|illegal|prohibited|disallowed|denied|refused|untrusted|unacceptable|wrong|missing|empty|" +
			"null) {sender}",
		"{sender} & not exist", "{sender} & not resolve", "{sender} & not found", "{sender} & no such",
		"{sender} & (mx|dns) record", "{sender} & not have & (mx|dns)", "domain must (resolve|exist)", "domain of sender",
		"mailfrom domain listed",
		"your (account|mailbox|address|mail address|domain|hostname|host name|mail account|user|login|sending domain|" +
			"sender domain) (disabled|suspended|locked|blocked|invalid|unknown|inactive|closed|expired|not)",
		"your account & (disabled|suspended|locked)", "for your domain", "your domain & (not exist|not found|no mx)",
		"your address not", "not valid sender", "purported responsible", "responsible address",
		"not (resolve|find|verify) (domain|senders domain|from domain|return address|return path)", "sender not in",
		"from domain invalid", "domain blocked by",
		"not (accept|accept any) (mail|message) from (domain|sender|you|address|host|site|server|there|here)",
		"not accept mail from",
		"mail from (domain |address |host |)(not allowed|not accept|not permitted|rejected|refused|denied|blocked|" +
			"prohibited|banned|not welcome)",
		"(rejected|refused|blocked|denied) mail from", "refused mail from", "no mail accept from",
		"mail from & (rejected|refused|denied|blocked)", "mail from & not (allowed|accept|permitted|welcome)",
		"mail rejected & sender", "sender & (blocked|rejected|denied|banned)", "bounces not accept", "bounce not accept",
		"not accept bounce", "not accept null sender", "null (sender|reverse path)",
		"empty (sender|envelope|reverse path|return path)", "bounce messages not", "mail address not verified",
		"mail sending denied", "message sending & (disabled|blocked|suspended|forbidden)", "sender account disabled", "bad outbound sender", "sending denied", "sender denied",
		"not registered gateway user", "access denied & outbound", "domain & not registered & workspace",
		"unregistered domain", "your domain & blocked", "header based & blocked", "block policy for", "envelope blocked",
		"envelope rejected", "sender address & blacklisted", "from address & not", "sender domain & not",
	}, Unless: []string{
		"user unknown", "no such user", "no such recipient", "mailbox full", "sender notified",
	}},
	// The status says whose domain it is that "does not exist".
	{Name: "status-sender", Status: "x.1.7-8", Reason: SenderRejected, Unless: []string{"user unknown", "unknown user", "no such user", "invalid recipient", "recipient address"}},
}
