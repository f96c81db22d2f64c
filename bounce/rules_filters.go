package bounce

// mimecast is Mimecast: a short sentence, and a link to DOC-1369.
var mimecast = []Rule{
	{Name: "mimecast-unknown", Reason: BadMailbox, Text: []string{"invalid recipient", "no such recipient", "recipient unknown"}},
	{Name: "mimecast-greylist", Reason: Greylisted, Code: "4", Text: []string{
		"internal resource temporarily unavailable", "internal resources temporarily unavailable",
	}},
	{Name: "mimecast-prohibited", Reason: Policy, Text: []string{"administrative prohibition"}},
	{Name: "mimecast-security", tag: true, Reason: Policy, Text: []string{
		"mail rejected due to security policy", "host network not allowed", "anti spoofing policy",
		"delivery not permitted & policy",
	}},
	{Name: "mimecast-sender", tag: true, Reason: SenderRejected, Text: []string{
		"envelope blocked user entry", "envelope blocked user domain entry", "envelope rejected blocked policy",
		"rejected by header based", "block policy for (envelope|header)", "blocked for manual block", "submitter failed to",
	}, Unless: []string{"authenticate"}},
	{Name: "mimecast-throttled", tag: true, Reason: LowReputation, Code: "4", Text: []string{
		"sender address blocked", "ip temporarily blacklisted", "recipient verification & greylisting",
	}},
	{Name: "mimecast-authentication", tag: true, Reason: AuthFailed, Text: []string{"(spf|dkim|dmarc) sender invalid envelope rejected"}},
	{Name: "mimecast-journal", tag: true, Reason: Expired, Text: []string{"journal message past expiration"}},
	{Name: "mimecast-host", tag: true, Reason: Network, Text: []string{"incorrect hostname used for inbounds", "hostname used for inbounds"}},
	{Name: "mimecast-account", tag: true, Reason: System, Text: []string{
		"account service not available", "account inbounds disabled", "account outbounds disabled",
		"customer account & inbounds",
	}},
}

// proofpoint is Proofpoint and Proofpoint Essentials.
var proofpoint = []Rule{
	{Name: "proofpoint-blocked", tag: true, Reason: IPBlocked, Text: []string{
		"ipcheck proofpoint com", "support proofpoint com dnsbl", "proofpoint com dnsbl lookup",
	}},
	{Name: "proofpoint-unknown", tag: true, Reason: BadMailbox, Text: []string{"mail address marked as invalid", "user mail address marked"}},
	{Name: "proofpoint-policy", Reason: Policy, Text: []string{"local policy violation", "message rejected due to policy"}},
	{Name: "proofpoint-license", tag: true, Reason: System, Text: []string{"domain not active & essentials", "organization not active"}},
}

// barracuda is Barracuda's service: "550 permanent failure for one or more
// recipients (a@b:blocked)". The reason stands behind the colon.
var barracuda = []Rule{
	{Name: "barracuda-nested", Reason: BadMailbox, Text: []string{
		"recipient & user unknown", "recipient & unknown user", "recipient & not exist", "recipient & no such user",
		"recipient & recipient rejected",
	}},
	{Name: "barracuda-blocked", tag: true, Reason: LowReputation, Text: []string{
		"(permanent|temporary) failed for one or more recipient blocked", "failed for one or more recipient & blocked",
	}, Unless: []string{"user unknown", "not exist", "unknown user"}},
	{Name: "barracuda-reputation", tag: true, Reason: IPBlocked, Text: []string{
		"barracuda reputation", "barracudanetworks com reputation", "barracudacentral",
	}},
	{Name: "barracuda-intent", tag: true, Reason: SpamContent, Text: []string{"barracuda & (intent|spam|content)"}},
	{Name: "barracuda-later", tag: true, Reason: System, Text: []string{"temporary failed for one or more recipient"}, Code: "4"},
}
