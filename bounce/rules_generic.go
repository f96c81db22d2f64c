package bounce

// section is a part of the table, in the order in which it is tried.
type section struct {
	provider string
	rules    []Rule
}

// sections is the whole table: what succeeded, the dialects, what servers of all
// kinds say, and at last the bare codes. Words about the sender stand before words
// about the recipient, for "550 mailbox unavailable: your IP is blacklisted" holds
// both.
func sections() []section {
	all := []section{{"", success}}
	for _, p := range providers {
		all = append(all, section{p.name, p.rules})
	}
	return append(all,
		section{"", aboutSender},
		section{"", aboutMessage},
		section{"", aboutRecipient},
		section{"", recipientRejected},
		section{"", aboutServer},
		section{"", byStatus},
		section{"", byCode},
	)
}

// synonyms are the word lists that phrases name in braces.
var synonyms = map[string]string{
	// A mailbox, where the word before it does not matter: "email account".
	"user": "user|users|mailbox|mailboxes|mbox|inbox|account|accounts|recipient|recipients|receiver|addressee|" +
		"alias|login|username|subscriber|customer|member|userid|person|rcpt",
	"is":   "is|was|are|has been|have been|seems|appears|",
	"does": "does not|doesn't|do not|don't|did not|didn't|not|no longer|doesnot",
	"no":   "no such|unknown|invalid|nonexistent|non existent|not existing|non existing|inexistent|unrecognized|unrecognised|not a valid|not a known|no valid|is not a|is no|no",
	// The one who sends.
	"sender": "sender|senders|from address|return path|returnpath|mail from|mailfrom|envelope sender|envelope from|reverse path|sender address|" +
		"sender domain|sender's domain|sending domain|domain of sender|domain of sender address|originator|from header|header from",
	"full":    "full|exceeded|overquota|over quota|exhausted|out of space",
	"buzon":   "buzon|cuenta|correo|boite|boite aux lettres|boite de reception|messagerie|casella|mailbox|caixa|caixa postal|caixa de correio|postfach|konto|account|skrzynka|compte|conta|utente|usuario|destinataire|destinatario",
	"esta":    "esta|est|ist|e|is|jest|sont|",
	"blocked": "blocked|blacklisted|block listed|blocklisted|black listed|denylisted|deny listed|banned|listed|blacklist|blocklist",
}

// success is what is no failure.
var success = []Rule{
	{Name: "accepted", Code: "2", Reason: Delivered},
	{Name: "status-accepted", Code: "0", Status: "2.x.x", Reason: Delivered},
}

// aboutSender is what servers of all kinds say of us: our authentication, our
// address and name, our reputation, our rate.
var aboutSender = []Rule{
	{Name: "loop", Reason: Loop, Text: []string{
		"too many hops", "(mail|routing|message|forwarding|delivery) loop", "loop detected", "loops back to (me|myself|itself)",
		"hop count exceeded", "too many received", "maximum hop count", "routing loop", "mail for & loops back", "hopcount exceeded",
	}},
	{Name: "greylisted", Reason: Greylisted, Text: []string{
		"greylisted", "graylisted", "greylisting", "graylisting", "greylist", "graylist", "grey listed", "gray listed", "grey listing", "gray listing",
		"postgrey", "come back later & unknown sender", "first time sender", "temporary deferral as spam protection", "you are being deferred",
		"in service greylist", "resend after", "try again in & greylist", "lista gris",
	}},
	{Name: "sender-verify", Reason: SenderRejected, Text: []string{
		"sender verify failed", "sender verification failed", "could not complete sender verify", "could not verify sender", "sender callout", "callout verification failed & sender",
		"unable to verify sender", "sender address verification", "verifying sender", "sender unverified",
	}},
	{Name: "tls-required", Reason: TLSRequired, Text: []string{
		"must issue a starttls command", "starttls required", "starttls is required", "tls required", "tls is required", "requires tls", "encryption required", "encryption is required",
		"session encryption is required", "starttls failed", "tls handshake failed", "tls negotiation failed", "mta sts validation", "starttls not supported", "must support tls",
		"tls is not available", "tls not available due to", "cannot start tls", "requiretls", "dane validation", "tlsa & invalid",
	}},
	{Name: "auth-failed", Reason: AuthFailed, Text: []string{
		"spf (check|validation|verification|record|policy) & (fail|failed|fails|failure|reject|rejected|softfail|violation|error)", "spf fail", "spf failed", "failed spf", "fails spf", "spf hardfail", "spf unauthorized mail",
		"per it's spf record", "spf record", "spf sender invalid", "spf does not", "spf check failed", "not permitted by spf", "spf permerror", "due to spf", "sender policy framework", "spf policy",
		"dkim (check|validation|verification|signature) & (fail|failed|fails|failure|invalid|bad|missing|none)", "dkim fail", "dkim failed", "failed dkim", "dkim sender invalid", "bad dkim", "no dkim", "dkim signature",
		"dmarc policy", "dmarc fail", "dmarc failed", "failed dmarc", "fails dmarc", "dmarc check", "dmarc verification", "dmarc evaluation", "dmarc validation", "dmarc reject", "dmarc quarantine", "dmarc sender invalid", "dmarc compliance", "per dmarc", "due to dmarc", "by dmarc", "dmarc rejected",
		"unauthenticated email", "unauthenticated mail", "unauthenticated message", "sender is unauthenticated", "email authentication checks", "pass authentication checks", "authentication information & spf", "arc & validation failed",
		"required authentication level", "authentication results & did not pass", "message authentication & dmarc", "openspf", "sender id & fail",
		"verificar la autenticidad & spf", "is not allowed to send & spf", "not authorized to send on behalf of", "domain & not designate & permitted sender",
	}},
	{Name: "auth-required", Reason: AuthRequired, Text: []string{
		"authentication (is |)required", "smtp auth (is |)required", "must authenticate", "authentication credentials invalid", "incorrect authentication data", "authentication failed", "authentication failure", "authentication unsuccessful",
		"authrequired", "please authenticate", "not authenticated", "auth required", "requires authentication", "require authentication", "unauthenticated senders", "failed to authenticate", "cannot achieve exchange server authentication",
		"client was not authenticated", "username and password not accepted", "authentication rejected", "you must log in", "bad credentials", "invalid credentials & login", "pop before smtp", "check your mail before sending",
		"authentifizierung erforderlich", "not logged in",
	}},
	{Name: "no-ptr", Reason: NoPTR, Text: []string{
		"(no|missing|bad|invalid|without|a valid|valid|matching|not have a|have a) (ptr|rdns|reverse dns|reverse record|reverse lookup|reverse mapping|reverse hostname|reverse entry)", "ptr record", "ptr records", "ptr lookup", "dns ptr", "bad dns ptr", "reverse dns", "rdns", "reverse lookup", "reverse address",
		"cannot find your hostname", "cannot find your reverse hostname", "unable to resolve your", "ip name lookup failed", "client host rejected cannot find your", "no ptr", "fix reverse dns", "generic reverse", "dynamic hostname",
		"helo command rejected", "invalid helo", "helo name", "invalid ehlo", "bad helo", "helo & does not resolve", "helo & invalid", "ehlo & invalid", "forward confirmed", "fcrdns", "resolve & client hostname", "reverse resolution", "your hostname & not found", "relay & name & not found & dns",
		"forward and reverse", "reverse not", "need fully qualified hostname", "hostname is not authorized", "incorrect hostname", "hostname does not match",
	}},
	{Name: "domain-listed", Reason: SpamContent, Text: []string{
		"dbl spamhaus org", "spamhaus dbl", "surbl", "uribl", "domain & listed in dbl", "url & {blocked}", "uri & {blocked}", "urls & listed", "link & blacklisted", "links & blacklisted",
	}},
	{Name: "block-list", Reason: IPBlocked, Text: []string{
		"spamhaus", "spamcop", "sorbs", "barracudacentral", "barracuda reputation", "barracudanetworks com reputation", "invaluement", "spamrl", "uceprotect", "spfbl", "psbl", "nixspam", "manitu", "mailspike", "senderscore", "truncate gbudb", "lashback", "abuseat", "cbl", "xbl", "sbl", "pbl", "zen", "njabl", "dsbl", "ordb", "mail abuse org", "backscatterer", "hostkarma", "junkemailfilter", "sender score", "spamrats", "blocklist de", "0spam", "abusix", "cloudmark com reset", "csi cloudmark", "trendmicro com & reputation", "ers trendmicro", "fortiguard & blacklist", "cyren", "senderbase", "talosintelligence", "invalument",
		"dnsbl", "dns rbl", "rbl", "rbls", "drbl", "dns blacklist", "dns blocklist", "dns black list", "realtime blackhole", "real time blackhole", "real time blacklist", "realtime blacklist", "blackhole list", "dns based & list",
		"(ip|ips|address|host|server|sender|client|hostname|mta|network|relay|you) {is} (on|in|listed|{blocked}) & (list|blacklist|blocklist|rbl|blacklists)",
		"(ip|ips|ip address|host|client host|server|client|hostname|mta|network|netblock|subnet|relay|connection|connections|you|range) {is} ({blocked}|in our blacklist|on our blacklist|on our block list|in our block list|bad)",
		"ip (temporarily |permanently |address |)({blocked}|rejected|denied|refused)", "{blocked} (ip|ips|ip address|ip addresses|host|client|network|using|at|by|for sending spam|for spam|due to spam|from ip)", "banned sending ip", "bad ip", "block list", "your ip & {blocked}", "your server & {blocked}", "your mail server & {blocked}", "your host & {blocked}", "client host & blocked", "client & blocked using", "sending ip & {blocked}", "ip & has been blocked", "ip & is blocked", "ip address & blocked",
		"rejected & found in", "blacklisted", "black listed", "is blacklisted", "blacklist", "blocklisted", "access denied & banned", "not allowed to connect", "invalid ip for sending", "rejected because of ip", "ip & is listed", "client host rejected", "host network not allowed", "connection refused by policy", "mail from ip & rejected",
		"not authorized to send email directly", "blacklistado", "lista negra", "liste noire", "schwarze liste", "blackliste", "adresse ip & bloquee", "gesperrte ip", "ip sperre", "czarnej liscie", "черном списке", "черный список", "黑名单", "ブラックリスト",
	}},
	{Name: "sender-rejected", Reason: SenderRejected, Text: []string{
		"{sender} {is} (rejected|refused|denied|blocked|not allowed|not accepted|not permitted|invalid|unknown|not found|does not exist|not exist|bad|blacklisted|unresolvable|unverified|not valid|unacceptable|not authorized|not authorised|unauthorized|disallowed|banned|nonexistent|not verified|unroutable|malformed|misformatted|missing|empty|prohibited|not known|suspended|unable to be resolved|not recognised|not recognized|cannot be verified|could not be verified|must exist|must resolve|domain must exist)",
		"(invalid|bad|unknown|unverified|unauthorized|blocked|rejected|blacklisted|forbidden|unresolvable|no such|nonexistent|reject|banned) {sender}", "{sender} & does not exist", "{sender} & could not be resolved", "{sender} & cannot be resolved", "{sender} & must resolve", "{sender} & unresolvable", "domain must resolve", "{sender} & not resolve",
		"cannot resolve your domain", "can't determine purported responsible", "purported responsible address", "domain of sender", "sender not in allowed", "blank from", "from domain is invalid", "your domain & (blocked|blacklisted|rejected|not exist|not found|does not exist)", "not accepting mail from", "we do not accept mail from", "mail from & not (allowed|accepted|permitted)", "mail from & (rejected|refused|denied)", "does not accept mail from", "refuse mail from", "emetteur invalide", "expediteur & (refuse|invalide|inconnu|bloque)", "remitente & (rechazado|invalido|desconocido|bloqueado|no valido)", "absender & (abgelehnt|unbekannt|ungultig|ungueltig|gesperrt|existiert nicht)", "mittente & (rifiutato|sconosciuto|non valido)", "remetente & (rejeitado|invalido|desconhecido|bloqueado)", "отправитель & (заблокирован|отклонен|неизвестен)", "发件人 & (拒绝|不存在|非法)", "null sender", "empty envelope sender", "bounces not accepted", "header based & blocked senders", "block policy for", "user entry & envelope blocked", "sender address has been blacklisted", "email address is not verified",
	}},
	{Name: "rate-limited", Reason: RateLimited, Text: []string{
		"too many (connections|concurrent|simultaneous|sessions|messages|emails|mails|mail|requests|smtp sessions|commands|errors|unknown users|invalid recipients|bad commands|attempts|concurrent smtp connections|connections from|open connections|deliveries|invalid recipient|failed|recipients per|recipients this)", "(connection|connections|message|messages|sending|send|rate|mail|email|ip|sender|hourly|daily|session|recipient|domain|frequency|throttle) (rate |)(limit|limits|limited|limitation|quota) & (exceeded|reached|exceed|exceeds|exceeding|over|hit|try)", "rate limit", "rate limited", "rate limiting", "ratelimit", "rate limits", "ratelimited", "throttled", "throttling", "throttle", "frequency limited", "frequency limit", "sending too fast", "too fast", "slow down", "excessive volume", "unusual rate", "unexpected volume", "too much mail", "daily relay quota", "relay quota", "sending quota", "sending limits", "concurrency limit", "maximum number of (connections|messages|concurrent)", "connection limit", "exceeded & limit & connections", "exceeded permitted limits", "exceeded threshold", "has exceeded & threshold", "maximum concurrent", "concurrent connections", "too frequent", "too frequently", "too often", "rate control", "limit exceeded for", "messages per hour", "messages per day", "emails per hour", "max emails per", "outgoing limit", "submission limit", "trop de connexions", "trop de connexion", "demasiadas conexiones", "zu viele verbindungen", "troppe connessioni", "muitas conexoes", "zbyt wiele", "слишком много", "слишком часто", "频率", "過多", "過大な", "接続数",
	}},
	{Name: "reputation", Reason: LowReputation, Text: []string{
		"(low|poor|bad|no|none|negative|unknown|insufficient|very low|your|sender|ip|domain) reputation", "reputation (score|is|of|too|filter|block|based|service|filters|check)", "due to & reputation", "reputation", "user complaints", "volume or user complaints", "complaint rate", "spam complaints", "temporarily deferred due to",
	}},
	{Name: "relay-denied", Reason: RelayDenied, Text: []string{
		"(relaying|relay) (is |access |attempt |from |of mail |mail |)(denied|not allowed|not permitted|prohibited|rejected|refused|forbidden|disabled|blocked|not authorized|access denied)", "unable to relay", "(cannot|can not|can't|not|won't|will not|do not|does not|don't|no|refuse to|unauthorized|illegal|to) (relay|relaying)", "authorized relay", "mail relay denied", "not an open relay", "relay & denied", "relaying & denied", "not permitted to relay", "not allowed to relay", "invalid credentials for relay", "isn't in my list of allowed rcpthosts", "list of allowed rcpthosts", "not in my allowed rcpthosts", "rcpthosts", "not a gateway", "no relaying", "relay prohibited", "not local host", "not a local domain", "domain not hosted here", "domain is not hosted", "not hosted here", "domain not local", "nonlocal", "we do not host", "not authoritative for", "not our domain", "domain isn't allowed to be relayed", "relais & (refuse|interdit)", "relay non consentito", "reenvio & no permitido",
	}},
}

// aboutMessage is what servers say of the message itself.
var aboutMessage = []Rule{
	{Name: "too-large", Reason: TooLarge, Text: []string{
		"(message|mail|email|size|header|headers|e mail) {is} (too (big|large|long)|larger than|exceeds & size)", "message size exceeds", "size exceeds", "exceeds (size limit|maximum message|the maximum|maximum size|administrative limit|fixed)", "exceeds fixed maximum", "exceeds & limit & header", "message size & (limit|exceeded|maximum|exceeds)", "maximum (email|message|mail) size", "fixed maximum message size", "file too big", "message exceeds", "too large", "max message size", "size limit", "message length exceeds", "nachricht & zu gross", "zu gross", "message trop (gros|volumineux)", "mensaje demasiado grande", "messaggio troppo grande", "mensagem muito grande", "邮件大小 & 超", "サイズ & 超", "message is oversize", "oversized message",
	}},
	{Name: "mailbox-full", Reason: MailboxFull, Text: []string{
		"({user}|mail box|folder|storage|quota|mail folder|maildir|disk quota|mailbox quota|mail quota|user quota) {is} (nearly |almost |currently |)(full|exceeded|overquota|over quota|exhausted|out of space|over its quota|over (the |)(allowed|disk|storage|size|space)|over limit|overfull|too large|reached|too full)", "over quota", "overquota", "overdrawn", "out of quota", "exceed quota", "quotaexceeded", "over the quota", "over disk quota", "(exceed|exceeds|exceeded|exceeding|over|reached|beyond|above|insufficient|without enough) (its |the |his |their |storage |mailbox |mail |disk |allocated |user |maximum |max |email |account |allowed |)(quota|storage|storage limit|mailbox size|mailbox limit|disk space|space limit|allocation|storage space)", "(quota|mailbox|maildir|disk|storage) (limit |size |quota |space |)(exceeded|exceed|violation|exceeds|limit reached|is exceeded|has been exceeded|would be exceeded|has exceeded)", "mailbox size limit", "mailfolder is full", "full mailbox", "mailbox would exceed", "no space left in mailbox", "not enough (storage|space|room|quota|disk space)", "insufficient (disk space|storage|quota|space|mailbox storage)", "out of storage space", "overquotatemp", "overquotaperm", "inbox is full", "has too many messages", "too many messages in mailbox", "too much mail in", "mailbox is too large", "storage allocation", "storage (limit|quota)", "disk full & mailbox", "space in mailbox",
		"{buzon} {esta} (lleno|llena|pleine|plein|piena|pieno|cheia|cheio|voll|vol|full|exceeded|excedido|excedida|superado|depasse|depassee|uberschritten|ueberschritten|esaurita|superata|excedeu|przepelniona|pelna)", "(cuota|quota) & (excedida|excedeu|superata|depasse|uberschritten|ueberschritten|excedido|superada|atteint|dépassé)", "boite & pleine", "boite du destinataire pleine", "postfach & voll", "speicherplatz & (erschopft|voll|uberschritten)", "mailbox voll", "переполнен", "переполнена", "превышена квота", "ящик & (полон|переполнен)", "邮箱已满", "空间不足", "邮箱 & 满", "容量 & 超", "メールボックス & いっぱい", "容量オーバー", "kotak & penuh", "kutusu & dolu", "tele van", "skrzynka & pelna", "schranka & plna",
	}},
	{Name: "virus", Reason: Virus, Text: []string{
		"virus", "viruses", "malware", "infected", "trojan", "worm", "phishing", "phish", "ransomware", "viral", "clamav", "malicious", "infizierte", "病毒", "ウイルス", "вирус",
	}, Unless: []string{"antivirus", "anti virus"}},
	{Name: "attachment", Reason: ContentRefused, Text: []string{
		"(illegal|prohibited|banned|forbidden|blocked|dangerous|unsafe|disallowed|executable|invalid|this|suspicious) (attachment|attachments|file type|filetype|file extension|file|extension)", "(attachment|attachments|file type|filename|file extension) & (not allowed|not permitted|prohibited|rejected|blocked|forbidden|not accepted|banned)", "executable",
	}},
	{Name: "malformed", Reason: ContentRefused, Text: []string{
		"(rfc|rfc822|rfc2822|rfc5322) & (compliant|compliance|violation|non|not|comply|conform|violates)", "not (rfc|rfc822|rfc2822|rfc5322|compliant)", "not rfc & compliant", "multiple (subject|from|to|date|message id|sender|addresses in from) (headers|header|)", "multiple addresses in from", "(missing|invalid|no|bad|malformed|duplicate|illegal|multiple|blank) (a |valid |or |)(header|headers|message id|message id header|from header|date header|mime|subject|from|date|line|lines|mime header|boundary)", "(header|headers|mime|line|lines) {is} (invalid|malformed|missing|bad|not valid|too long|error|errors)", "bare lf", "bare linefeed", "bare cr", "bare linefeeds", "bare line feed", "eight bit & header", "8bit data", "raw 8 bit", "non ascii characters", "improper use of 8 bit", "conversion (required|to 7bit)", "character set & not (supported|allowed|accepted)", "charset", "invalid mime", "malformed (message|mail|email)", "message format", "syntax error in & header", "from addresses are not allowed", "valid from", "messages missing", "headers are not accepted", "unacceptable header", "headers are unacceptable", "content encoding", "valid message id", "too many related errors", "nul characters", "must be followed by",
	}},
	{Name: "spam", Reason: SpamContent, Text: []string{
		"spam", "spammy", "spamassassin", "antispam", "anti spam", "spams", "spamming", "junk", "junkmail", "junk mail", "ube", "uce", "unsolicited", "bulk mail", "unwanted (mail|content|email)", "message content & (rejected|refused|not|blocked|unacceptable)", "content & (rejected|refused|blocked|unacceptable|suspicious|not acceptable|denied)", "suspicious (message|content|mail)", "message is suspicious", "message (looks like|appears to be)", "mail score", "score & (limit|threshold|exceeds|over|too high)", "messagescoringupperlimit", "bayes", "dcc", "razor", "cloudmark", "content filter", "content filters", "blocked by filter", "blocked by & filter", "message filtered", "content (rejected|denied)", "considered & advertising", "looks like & advertisement", "rejected as", "inappropriate content", "bulk email", "pourriel", "correo no deseado", "垃圾", "迷惑メール", "спам", "spamu", "spamverdacht", "rejected by & content", "message rejected as", "not wanted here", "message contains & (content|words|url|link)", "high probability of", "unwanted",
	}},
}

// aboutRecipient is what servers say of the mailbox.
var aboutRecipient = []Rule{
	{Name: "too-many-recipients", Reason: TooManyRecipients, Text: []string{
		"too many recipients", "too many rcpt", "too many rcpts", "recipient limit", "(number of|recipients) & recipients & (exceeds|exceeded|limit|too)", "recipients per (message|session|connection|domain|transaction) & (limit|exceeded)", "maximum number of recipients", "recipients limit", "one recipient at a time", "only one recipient", "trop de destinataires", "demasiados destinatarios", "zu viele empfanger", "recipient count exceeds",
	}},
	{Name: "recipient-rate", Reason: RecipientRate, Text: []string{
		"receiving mail (at a rate|too quickly|too fast)", "user is receiving mail", "recipient & receiving & too", "{user} & too many messages & (hour|minute|recently)",
	}},
	{Name: "recipient-moved", Reason: MailboxMoved, Text: []string{
		"{user} {is} (moved|relocated|transferred|changed)", "(mailbox|address|email address|user|account) (has |is |was |)(moved|changed|relocated|migrated) to", "has (moved|changed) (to|his|her|their)", "user has moved", "no longer on server", "owner has changed", "address has changed", "user not local please try", "user not local try", "has left (the|our|this)", "no longer (works|employed|with|at|a student|affiliated|an employee)", "left the company", "new address is", "(neue|nouvelle|nueva|nuova) (adresse|direccion|indirizzo)", "changed (address|email)", "ya no trabaja", "ne travaille plus", "nicht mehr im unternehmen",
	}},
	{Name: "recipient-disabled", Reason: MailboxDisabled, Text: []string{
		"({user}|mail box|address|email address|mail account|domain|service|email|they) {is} (currently |temporarily |permanently |now |not |been |being |)(disabled|suspended|inactive|deactivated|de activated|not active|locked|closed|blocked|frozen|expired|terminated|cancelled|canceled|archived|on hold|disabled for|dormant|in active|not activated|not enabled|barred|administratively disabled|discontinued|withdrawn|isblocked|banned|stopped|blocked by administrator|turned off)", "(disabled|suspended|inactive|deactivated|locked|expired|closed|terminated|blocked|frozen|dormant) ({user}|mail box|email address|mail account|address)", "mailbox disabled", "mailbox (cannot|could not|can not) be accessed", "account & (suspended|disabled|deactivated)", "user is inactive", "not accepting (mail|messages|email) & mailbox", "temporarily (disabled|suspended)", "(has not|hasn't) logged in", "not been activated", "administratively (prohibited|disabled|locked)", "email address & (disabled|suspended|deactivated|no longer active)", "no longer (active|in use|valid|in service|accepts|accepting|receives|monitored|receiving)", "(mailbox|account) & (deleted|removed)", "has been (deleted|disabled|suspended|deactivated|closed|terminated|cancelled|canceled|discontinued|archived|removed)", "address & retired", "out of service",
		"compte & (desactive|suspendu|bloque|inactif|ferme|resilie|cloture)", "(boite|messagerie) & (desactivee|suspendue|archivee|fermee|inactive|inactif|bloquee|cloturee)", "cuenta & (desactivada|suspendida|inactiva|cerrada|bloqueada|deshabilitada|cancelada|inhabilitada)", "(konto|postfach|account) & (deaktiviert|gesperrt|stillgelegt|inaktiv|geschlossen)", "(casella|account) & (disattivata|disabilitata|sospesa|disabilitato|sospeso|disattivato|non attiva)", "conta & (desativada|suspensa|inativa|bloqueada|cancelada|encerrada)", "konto & (zablokowane|nieaktywne|zawieszone)", "(аккаунт|ящик|учетная запись) & (заблокирован|отключен|заблокирована|отключена|удален)", "账号 & (禁用|停用|冻结|注销)", "帐号 & (禁用|停用|冻结|注销)", "用户 & (禁用|停用|冻结|锁定)", "hesabi & (askiya|devre)",
	}},
	{Name: "recipient-refused", Reason: RecipientRefused, Text: []string{
		"blocked by (the |)(recipient|user|receiver)", "rejected by (the |)(recipient|user|receiver)", "recipient (has |)(blocked|rejected|refuses|refused|declined|does not want|doesn't want)", "user (has |)(blocked|rejected|refused|reject|does not want|doesn't want)", "user reject", "not allowed to send to (this |)(recipient|group|user|list)", "recipient & not accepting (mail|messages|email)", "not accepting (mail|messages|email) from", "only accepts (mail|messages|email) from", "restricted (recipient|group|address|mailbox|user|to)", "permission to (send|post|contact)", "permissions to (post|send)", "recipient notpermitted", "notpermitted", "notauthorized", "not authorized to send to", "members only", "recipient & refuse", "delivery (restricted|not authorized)", "not permitted to send to", "personal (blacklist|block list|blocklist|blocked)", "recipient's (block|blocked|blacklist|filter|rules|safe)", "user's (block|blocked|filter|blacklist)", "recipient & whitelist", "address only accepts", "does not accept mail from & you", "list & subscribers only", "only subscribers", "not a subscriber & list",
	}},
	{Name: "recipient-unknown", Reason: BadMailbox, Text: []string{
		"{user} {is} (unknown|not known|invalid|nonexistent|non existent|inexistent|not valid|incorrect|not found|not existing|non existing|not recognized|not recognised|unrecognized|unrecognised|not listed|not here|undefined|not defined|not registered|not available here|not local|unroutable|unrouteable|bad|wrong|not present|not exists|misspelled|not a known|not a valid|no longer valid|no longer exist|no longer exists|not exist|does not|doesnt exist|a non existent|undeliverable|notfound|not configured|not our customer|not handled|no longer available|no longer here|not currently|not a)",
		"{user} {does} (exist|exists|have|found|live|appear|seem)", "{user} (may|might|can|could|cannot|can|would|will) not (exist|be found|be located|be verified|be identified|be resolved|exists)", "{user} (cannot|can't|couldn't) (be found|be located|be verified|be identified|be resolved)", "{user} & (does not|doesn't|doesnt|not|do not|don't) (exist|exists)",
		"{no} (email |mail |e mail |local |valid |virtual |destination |recipient |final |known |existing |active |delivery |forward |internal |external |remote |or unknown |or invalid |such |)(user|users|mailbox|mailboxes|mbox|inbox|account|accounts|recipient|recipients|receiver|addressee|alias|login|username|subscriber|customer|member|userid|person|local part|localpart|address|recipient address|address syntax|rcpt to|rcpt|destination|name|name here|id|people|one here)",
		"(unknown|invalid|illegal|bad|wrong|no such|nonexistent|unroutable|unrouteable|undeliverable|incorrect|unrecognized|unrecognised|dead) (or |email |recipient |destination |delivery |mail |to |forward |rcpt |user |target |local |recipient's |mailbox |unavailable |or illegal |or invalid |unknown |)(address|addresses|mailbox|recipient|recipients|user|users|alias|account|local part|localpart|destination|rcpt|path)",
		"(address|addresses|email|email address|destination|rcpt to|to address|mail address|local part|localpart) {is} (unknown|not known|nonexistent|non existent|inexistent|not valid|not found|not exist|does not exist|doesn't exist|do not exist|no longer exists|no longer exist|no longer valid|not recognized|not recognised|unrecognized|unrouteable|unroutable|undeliverable|invalid|incorrect|not existing|not listed|not registered|not in use|not deliverable|not configured|not exists|not a valid|wrong|bad|failed|no longer available)",
		"not (a |an |)(valid |known |our |local |existing |registered |current |recognized |active |real |)(user|mailbox|account|recipient|customer|subscriber|member|alias|addressee|email address|address)",
		"no mailbox (here |)(by|with|for|found|named|called)", "no (mailbox|account|user|users|one|body|recipient|person|such person|address|person) (here|by|with|matching|found|at|exists|exist|named|in)", "there is no (such |)(user|mailbox|account|one|recipient|person|address|email)", "there is no one", "user unknown", "userunknown", "unknownuser", "unknown user", "recipientnotfound", "recipnotfound", "exrecipnotfound", "mailboxnotfound", "usernotfound", "nosuchuser", "user not found", "does not exist", "doesn't exist", "do not exist", "dose not exist", "does not exists", "doesn't exists", "not exist", "no longer exists", "no existe", "no longer exist", "not exists", "isn't a valid", "is not a valid mailbox", "is not valid mailbox", "can't verify recipient", "cannot verify recipient", "recipient verification failed", "recipient verify failed", "rcpt verify failed", "recipient callout", "couldn't be found", "could not be found", "wasn't found", "cannot be found", "can't be found", "couldn't find", "could not find (user|mailbox|recipient|account|address)", "not listed in (public |)name", "not listed in domino directory", "not in (our |the |my |)(directory|database|system|user list|validrcptto|validrcptto list|recipient list|ldap)", "unrouteable address", "unroutable address", "unrouteable mail", "address (could not|couldn't|cannot) be (found|resolved)", "invalid mailbox path", "bad destination mailbox", "bad destination", "bad address", "delivery to this address is", "no valid recipients", "no valid (rcpt|recipient)", "all recipients (refused|rejected|invalid)", "undeliverable address", "invalid destination", "unknown or illegal alias", "illegal alias", "doesn't have (a|an) & account", "does not have (a|an) (email |mail |yahoo com |)(account|mailbox)", "has no mailbox", "no such (domain user|mail drop|mail account|email|person|id|name|local|virtual|addressee|e mail|object|contact|member|entry)", "name not found", "mailbox not available & does not", "mailbox name not allowed", "mailbox not local", "addressee unknown", "unknown addressee", "unknown address", "unknown local part", "unknown local", "unknown rcpt", "unknown to address", "mail drop & unknown", "not our customer", "not known here", "unknown here", "not known at this", "user {is} not", "recipient & is unknown", "delivery failed & unknown", "local delivery failed & user", "user lookup failed", "no route & user", "mailbox & not found", "mailbox is unavailable user not found", "user not exist", "mailbox not exist", "account not exist", "recipient not exist", "user no exist", "user doesnt exist", "invalid user", "validrcptto", "badrcptto", "chkuser", "rejected due to invalid recipient", "account not found", "is a deactivated mailbox", "is not a known user", "no matches to nameserver query & user", "unknown virtual", "in (virtual|local|relay) (mailbox|alias|recipient) table", "is no longer valid", "mailbox does not", "address no longer", "unallocated", "not assigned", "never existed", "misspelled", "check the (address|spelling|recipient)", "check recipient address", "no account by that name", "nobody here", "no one here",
	}},
	{Name: "domain-unknown", Reason: BadDomain, Text: []string{
		"host (unknown|not found|does not exist)", "unknown host", "unknown domain", "domain (name |)(not found|does not exist|doesn't exist|unknown|invalid|not exist|no longer exists|is invalid|is not valid|nonexistent|is unknown|has expired|expired|not reachable|is not reachable|lookup failed|does not accept (mail|email|messages)|not recognized)", "dns domain & does not exist", "(no such|bad|invalid|unrouteable|unroutable|nonexistent|non existent|illegal|undefined|unrouteable mail|unresolvable) (domain|host|hostname|host name|mail domain|destination domain|recipient domain)", "name or service not known", "host or domain name not found & type", "nxdomain", "domain not found", "infodomainnonexistent", "no mx record", "no mx or a", "no mx", "no mail host", "null mx", "nullmx", "does not accept (mail|email|messages)", "(domain|host) (does not|doesn't) (accept|receive) (mail|email|any mail)", "no mail server", "no mail exchanger", "(host|server|domain) (does not|doesn't) receive mail", "all relevant mx records point to non existent", "lowest numbered mx record points", "domain has no", "illegal host domain name", "the domain name & not exist", "domain inexistant", "domaine inconnu", "domaine & inexistant", "dominio & (no existe|desconocido|inexistente|inexistente|sconosciuto|inesistente)", "domain nicht gefunden", "unbekannte domain", "domain existiert nicht", "домен не найден", "не существует & домен", "域名 & 不存在", "no such host", "authoritative answer from name server", "dns & nonexistent", "mx points to",
	}, Unless: []string{"temporary", "temporarily", "try again", "servfail", "timeout", "timed out"}},
	{Name: "recipient-unavailable", Reason: BadMailbox, Code: "5", Text: []string{
		"mailbox (is |)unavailable", "mailbox (is |)not available", "mailbox (is |)(currently |)unavailable", "no mailbox by that name", "recipient (is |)unavailable", "user (is |)unavailable", "mailbox (is |)inaccessible",
	}},
}

// aboutServer is what servers, and our own side, say of themselves and of the way.
var aboutServer = []Rule{
	{Name: "suppressed", Reason: Suppressed, Text: []string{
		"suppression list", "suppressed", "onaccountsuppressionlist", "previously bounced", "unsubscribed address", "bounced address", "recipient blacklisted by sender",
	}},
	{Name: "expired", Reason: Expired, Text: []string{
		"(delivery|message|queue|retry) (time|timeout|period|lifetime|) (expired|exceeded)", "delivery time expired", "message expired", "queue expired", "has been in the queue too long", "retry timeout exceeded", "retry time not reached", "message delayed", "(undeliverable|not delivered|could not be delivered|unable to deliver) & (days|hours) ", "past the expiration", "expired", "delivery expired", "maximum queue lifetime", "message timeout", "unable to deliver & after", "still undelivered after", "too old",
	}},
	{Name: "network", Reason: Network, Text: []string{
		"connection (timed out|timeout|refused|reset|lost|closed|dropped|failed|aborted|died|was refused|was closed|was lost)", "timed out", "timeout", "time out", "no route to host", "network (is |)(unreachable|error|down)", "host (is |)unreachable", "could not connect", "cannot connect", "can't connect", "couldn't connect", "unable to connect", "failed to connect", "not connect", "dns query failed", "dns (error|failure|lookup failed|failed|timeout|lookup failure|resolution)", "name server & (failed|failure|temporary|timeout)", "servfail", "server misbehaving", "temporary failure in name resolution", "host not responding", "no answer from host", "not answering", "unreachable", "broken pipe", "i o timeout", "eof", "lost connection", "lost input channel", "name service error", "lookup failed", "lookup failure", "domain lookup failed", "couldn't find any host", "cname lookup failed", "read error", "write error", "connect failed", "connection & refused", "host & down", "remote host & unavailable", "conversation & timed out", "try again & name server", "no hosts",
	}},
	{Name: "protocol", Reason: Protocol, Text: []string{
		"syntax error", "bad sequence", "(command|parameter|parameters|argument|arguments) (is |are |)(not implemented|unrecognized|unrecognised|not recognized|not recognised|unknown|not supported|not allowed|invalid|rejected|unexpected)", "unrecognized (command|parameter|smtp)", "unrecognised (command|parameter)", "unknown command", "invalid (command|parameter|syntax|argument|arguments)", "not implemented", "command not", "send hello first", "polite people say hello", "need (mail|rcpt|helo|ehlo|mail command|rcpt command)", "improper (command|use|pipelining)", "pipelining", "expected & command", "out of sequence", "out of order & command", "protocol error", "protocol violation", "say helo", "line too long", "unsupported", "smtputf8", "eai not supported",
	}},
	{Name: "system", Reason: System, Text: []string{
		"(system|server|service|internal|local|mail|mailer|operating system|software|configuration|processing|io|disk|database|ldap|backend|lookup) (error|failure|problem|errors|fault|difficulties)", "configuration error", "server (is |)(busy|overloaded|down|unavailable|not available|too busy)", "service (is |)(temporarily |currently |)(unavailable|not available|not active|busy)", "temporarily (unavailable|unable|rejected|not available|out of order|suspended)", "resources temporarily unavailable", "insufficient (system|resources|system resources|system storage)", "system (not accepting|full|is not accepting|resources|load)", "mail system (full|is full|not accepting)", "disk (full|is full|space)", "no space left", "temporary (failure|error|problem|local problem|server error|lookup failure|rejection|internal error|system)", "local problem", "local error", "unable to process", "error in processing", "requested action aborted", "queue file write error", "cannot open", "can't open", "can't create", "could not create", "cannot create", "try (again |)later", "please try", "transaction failed", "internal (server|resource|software|resources)", "mailer error", "service not available", "procmail", "pipe to", "exit status", "exited with", "unable to deliver to mailbox", "out of memory", "too busy", "load is too high", "high load", "load average", "load too high", "maintenance", "closing transmission channel", "closing connection", "shutting down", "resource", "overloaded", "retry later", "aborted", "unexpected", "milter",
	}},
	{Name: "policy", Reason: Policy, Text: []string{
		"policy", "policies", "not (allowed|permitted|authorized|authorised|accepted)", "administrative prohibition", "administratively", "prohibited", "prohibits", "security", "forbidden", "access denied", "denied", "violation", "abuse", "disallowed", "block", "verweigert", "rechazado", "rechazada", "rifiutato", "rejeitado", "отклонено", "отказано", "拒绝", "拒否",
	}},
}

// recipientRejected is what names the recipient and no cause.
var recipientRejected = []Rule{
	{Name: "recipient-rejected", Code: "5", Reason: BadMailbox, Text: []string{
		"(recipient|recipients) (address |addresses |)(rejected|refused)", "address rejected", "rejected (recipient|recipients|address)",
	}, Unless: []string{"authentication", "policy", "dns", "blocked"}},
}

// byStatus is what an enhanced status code says where the words said nothing
// (RFC 3463 and the IANA registry). The vague ones, such as 5.0.0, 5.7.1 and
// 5.5.0, stand with byCode.
var byStatus = []Rule{
	{Name: "status-mailbox", Status: "x.1.1", Reason: BadMailbox},
	{Name: "status-system-address", Status: "x.1.2", Reason: BadDomain},
	{Name: "status-address-syntax", Status: "x.1.3", Reason: BadMailbox},
	{Name: "status-moved", Status: "x.1.6", Reason: MailboxMoved},
	{Name: "status-sender", Status: "x.1.7-8", Reason: SenderRejected},
	{Name: "status-not-compliant", Status: "x.1.9", Reason: ContentRefused},
	{Name: "status-null-mx", Status: "x.1.10", Reason: BadDomain},
	{Name: "status-disabled", Status: "x.2.1", Reason: MailboxDisabled},
	{Name: "status-full", Status: "x.2.2", Reason: MailboxFull},
	{Name: "status-length", Status: "x.2.3", Reason: TooLarge},
	{Name: "status-list", Status: "x.2.4", Reason: System},
	{Name: "status-system-full", Status: "x.3.1", Reason: System},
	{Name: "status-not-accepting", Status: "x.3.2", Reason: System},
	{Name: "status-not-capable", Status: "x.3.3", Reason: Protocol},
	{Name: "status-too-big", Status: "x.3.4", Reason: TooLarge},
	{Name: "status-misconfigured", Status: "x.3.5", Reason: System},
	{Name: "status-no-answer", Status: "x.4.1-3", Reason: Network},
	{Name: "status-routing", Status: "x.4.4", Reason: Network},
	{Name: "status-congestion", Status: "x.4.5", Reason: RateLimited},
	{Name: "status-loop", Status: "x.4.6", Reason: Loop},
	{Name: "status-expired", Status: "x.4.7", Reason: Expired},
	{Name: "status-command", Status: "x.5.1-2", Reason: Protocol},
	{Name: "status-too-many", Status: "x.5.3", Reason: TooManyRecipients},
	{Name: "status-arguments", Status: "x.5.4-6", Reason: Protocol},
	{Name: "status-content", Status: "x.6.x", Reason: ContentRefused},
	{Name: "status-list-forbidden", Status: "x.7.2", Reason: RecipientRefused},
	{Name: "status-security", Status: "x.7.3-7", Reason: Policy},
	{Name: "status-auth", Status: "x.7.8-16", Reason: AuthRequired},
	{Name: "status-owner", Status: "x.7.17-18", Reason: MailboxMoved},
	{Name: "status-rrvs", Status: "x.7.19", Reason: Policy},
	{Name: "status-dkim", Status: "x.7.20-24", Reason: AuthFailed},
	{Name: "status-ptr", Status: "x.7.25", Reason: NoPTR},
	{Name: "status-authentication", Status: "x.7.26", Reason: AuthFailed},
	{Name: "status-null-mx-sender", Status: "x.7.27", Reason: SenderRejected},
	{Name: "status-flood", Status: "x.7.28", Reason: RateLimited},
	{Name: "status-arc", Status: "x.7.29", Reason: AuthFailed},
	{Name: "status-requiretls", Status: "x.7.30", Reason: TLSRequired},
}

// byCode is what is left: the vague status codes, then the reply code and the
// command alone.
var byCode = []Rule{
	{Name: "refused", Reason: Policy, Text: []string{"rejected", "refused", "blocked", "refus"}},
	{Name: "status-7", Status: "x.7.x", Reason: Policy},
	{Name: "connect-refused", Code: "5", Commands: []Command{Connect, Hello}, Reason: IPBlocked},
	{Name: "mail-refused", Code: "5", Commands: []Command{Mail}, Reason: SenderRejected},
	{Name: "code-421", Code: "421", Reason: System},
	{Name: "code-45x", Code: "45", Reason: System},
	{Name: "code-432", Code: "43", Reason: System},
	{Name: "code-syntax", Code: "50", Reason: Protocol},
	{Name: "code-auth", Code: "53", Reason: AuthRequired},
}
