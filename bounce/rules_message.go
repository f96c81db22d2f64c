package bounce

// noSuchUser are words so clear about the recipient that a mention of spam or the
// like beside them, as in a link, means nothing.
var noSuchUser = []string{
	"user unknown", "unknown user", "no such user", "no such recipient", "not exist", "user not found", "no mailbox", "mailbox not found",
	"unknown recipient", "recipient unknown", "recipient not found", "invalid recipient", "invalid mailbox", "mailbox unavailable",
	"account disabled", "not valid mailbox", "mailbox disabled", "address unknown", "unknown address",
}

// aboutMessage is what servers of all kinds say of the message itself, and of the
// space for it.
var aboutMessage = []Rule{
	{Name: "too-large", Reason: TooLarge, Text: []string{
		"(message|mail|size|header|file|attachment|body|data|content|line) (size |length |)(too big|too large|" +
			"too long|larger than|bigger than|exceeded size|exceeded maximum|exceeded fixed|exceeded limit|" +
			"exceeded administrative|exceeded max|exceeded allowed|exceeded server|exceeded configured)",
		"message size (exceeded|limit|over|too)", "(message|mail|header|attachment) (size |)exceeded",
		"size (exceeded|limit exceeded|exceeded limit|over limit|too large)",
		"exceeded (fixed |administrative |)(maximum |max |allowed )(message |mail |)size",
		"exceeded (size limit|fixed maximum|maximum message|maximum size|administrative limit|googles limit|" +
			"googles message size|message size|max size)",
		"length of data & (maximum|limit|threshold)", "exceeded & limit of & bytes", "size greater than", "maximum (mail|message|allowed) size", "fixed maximum message", "max message size",
		"too large", "too big", "oversize", "oversized", "recipsizelimit", "sendsizelimit", "size restriction",
		"size restrictions", "message length", "reduce size", "line limit",
	}, Unless: []string{
		"mailbox too large", "mailbox size", "mailbox exceeded", "quota",
	}},
	{Name: "mailbox-full", Reason: MailboxFull, Text: []string{
		"{store} (nearly |almost |temporarily |)(full|overquota|over quota|over its quota|exhausted|out of space|" +
			"out of storage|overfull|overflow|too full|at limit|at quota|reached limit|reached quota|reached maximum|" +
			"reached capacity)",
		"{store} (size |space |quota |storage |limit |disk |usage |capacity |)(exceeded|over limit|over quota|full|" +
			"reached|too large|too big)",
		"{store} & over (quota|limit|size)", "over quota", "overquota", "overdrawn", "out of quota",
		"quota (exceeded|full|violation|limit|reached|over|error|excess|exhausted|problem)", "quotaexceeded",
		"exceeded (mail |mailbox |disk |storage |user |allocated |maximum |account |space |allowed |)(quota|storage|" +
			"storage limit|mailbox|disk space|space limit|allocation|storage space|mailbox size|mailbox limit|" +
			"storage quota|space)",
		"(insufficient|not enough|no|no more|without enough|lack of|not sufficient|low) (disk |storage |mailbox |" +
			"free |mail |)(space|storage|quota|room) & (mailbox|user|account|recipient|inbox|quota)",
		"(insufficient|not enough|no more) (mailbox |free |disk |)(space|quota|room)",
		"insufficient (mailbox|quota|storage|disk)", "out of storage", "storage limit", "storage quota", "overquotatemp",
		"overquotaperm", "mailboxquotaexceeded", "full (mailbox|inbox|mail box|folder)", "too many message (in|stored)",
		"no room in", "no space in (mailbox|inbox|folder|account)", "mailbox not accept more",
		"would exceeded & (quota|mailbox|storage)", "delivering message would exceeded", "maximum mailbox", "mailfolder full",
		"mail quota", "disk quota", "account quota", "user quota", "mailbox quota", "size limit of mailbox", "inbox full",
		"mail box full", "diskquota", "mailbox limit", "mailbox size limit",
	}, Unless: []string{
		"relay quota", "sending quota", "daily quota", "mail system full", "daily relay quota",
	}},
	{Name: "virus", Reason: Virus, Text: []string{
		"(contains|contained|infected|found|detected|possible|carries|with|known|rejected|containing|suspected|" +
			"may contain) (virus|malware|trojan|worm|phish|phishing|malicious|infection|exploit)",
		"(virus|malware|trojan|worm|phishing|phish|ransomware) (infected|detected|found|scanner|rejected|scan|" +
			"message|in|alert|mail|attempt|check)",
		"infected", "virus & (rejected|blocked|detected|found|message|contains)", "malware", "phishing", "phish", "clamav",
		"malicious (content|attachment|code|file|message|software)", "eicar", "ransomware", "rejected & virus", "virus",
	}, Unless: noSuchUser},
	{Name: "attachment", Reason: ContentRefused, Text: []string{
		"(illegal|prohibited|banned|forbidden|blocked|dangerous|unsafe|disallowed|executable|invalid|suspicious|" +
			"restricted|unacceptable|denied|encrypted|potentially dangerous|such|unwanted) (attachment|file|file type|" +
			"filetype|file extension|extension|filename|content type|zip)",
		"(attachment|file type|filetype|filename|file name|file extension|extension) (type |not |)(allowed|permitted|" +
			"prohibited|rejected|blocked|forbidden|accept|banned|denied|removed|not)",
		"executable", "attachment & (rejected|blocked|not allowed|prohibited)",
	}, Unless: noSuchUser},
	{Name: "malformed", Reason: ContentRefused, Text: []string{
		"(rfc|rfc822|rfc2822|rfc5322|rfc 822|rfc 2822|rfc 5322|rfc2045|rfc2047) (non |not |)(compliant|compliance|" +
			"violation|comply|conform|conformant|valid|compatible|noncompliant)",
		"not (rfc|rfc822|rfc2822|rfc5322|compliant|comply|conform)", "noncompliant", "non compliant",
		"rfc & (compliant|compliance|comply)",
		"(multiple|more than one|duplicate|duplicated|two|several|no|missing|invalid|bad|malformed|illegal|blank|" +
			"empty|lacks|without|bogus|wrong|incorrect|too many|corrupt|broken) (from|subject|to|date|message id|" +
			"messageid|reply to|cc|mime|mime version|content type|sender|in from|received|recipient) (header|headers|" +
			"field|line|lines)",
		"(missing|no|invalid|multiple|duplicate|bad|malformed|blank|empty|illegal|without|lacks) (header|message id|" +
			"from|mime|date header|subject|from line|date|boundary|content type|encoding|header field)",
		"multiple addresses in from",
		"header (invalid|malformed|missing|bad|not valid|error|syntax|required|contain|contains|not accept|count|" +
			"line|unacceptable|too long)",
		"bare (lf|cr|linefeed|linefeeds|line feed|line feeds|newline|carriage|carriage return|lfs)", "raw 8 bit", "of 8 bit",
		"bit characters", "8bit", "eight bit", "non ascii", "conversion (required|failed|not)",
		"unsupported (charset|character set|encoding|language)", "charset", "character set", "malformed", "message format",
		"format error", "syntax error in (header|from|to|message|mail)", "valid from", "not valid from",
		"(from|ip) addresses not allowed as", "messages missing", "headers not accept", "unacceptable header",
		"content encoding", "content transfer encoding", "valid message id", "too many related error", "nul character",
		"null character", "mime (error|structure|format|nesting|part|level)", "mime & (invalid|malformed|bad|error)",
		"x dg ref", "line (length|too long|longer)", "lines too long", "from header & (rfc|invalid|missing|multiple)",
		"equal headers", "encoded word", "not valid rfc", "invalid message content", "lacking required header", "media error",
	}, Unless: noSuchUser},
	{Name: "spam-judged", Reason: SpamContent, Text: []string{
		"(considered|identified|classified|detected|suspected|recognized|marked|flagged|tagged|rejected|blocked|" +
			"refused|treated|regarded|looks like|like|suspicion of|probable|possible|likely|probably|contains|contain|" +
			"contained|as|for|score) (as |to be |to contain |likely |possible |suspected |probable |by |due to |for |" +
			")(spam|junk|unsolicited|uce|ube|bulk|junkmail|spammy|spammish)",
		"spam (score|detected|rejected|found|probability|verdict|rating)", "high probability of spam", "looks like spam",
	}},
	{Name: "spam", Reason: SpamContent, Text: []string{
		"spam (message|mail|content|detected|rejected|score|filter|filters|filtered|policy|blocked|found|probability|" +
			"level|threshold|check|rule|rules|like|refused|denied|suspected|scanner|verdict|discarded|not|points|" +
			"detection|protection|rating|confidence|test|email|analysis|source)",
		"high probability of spam", "antispam (policy|filter|check|system|rule|rules|rejected|engine)",
		"anti spam (policy|filter|system|rule|engine|check)", "junk mail", "junkmail", "unsolicited", "ube", "uce",
		"bulk mail", "unwanted (mail|message|content)", "spamassassin", "rspamd", "bayes", "cloudmark",
		"content (rejected|refused|blocked|unacceptable|suspicious|denied|filter|filtered|filtering|restriction|" +
			"not accept|not acceptable|violation|inspection|scan)",
		"(suspicious|objectionable|inappropriate|offensive|forbidden|prohibited|undesirable|unacceptable|banned|bad|" +
			"blocked) (content|message|mail|word|words|text|language|subject|keyword|keywords|phrase|phrases|string)",
		"message suspicious", "message (filtered|looks like|scored|score|contains spam)", "mail score",
		"score & (limit|threshold|exceeded|over|too high|above|required)", "messagescoringupperlimit",
		"(blocked|rejected|caught|stopped|filtered|quarantined) by (content|spam|filter|filters|mail filter|rule|" +
			"our filter|bayesian|message filter|contentfilter|security filter)",
		"scored & points", "scored as", "looks like spam", "not wanted here", "spam", "spammy", "spamming",
	}, Unless: noSuchUser},
}
