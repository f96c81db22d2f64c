package bounce

// reports is what servers write to people where they have no reply to show.
var reports = []Rule{
	{Name: "group-refused", Code: "0", Reason: Policy, Text: []string{"google groups"}},
	{Name: "report-userid", Code: "0", Reason: BadMailbox, Text: []string{"invalid final delivery userid", "please check if address correct"}},
	{Name: "report-attempts", Code: "0", Reason: Expired, Text: []string{"delivery failed & attempts"}},
	{Name: "report-silent", Code: "0", Reason: Network, Text: []string{"remote host not responding"}},
	{Name: "report-duplicate", Code: "0", Reason: Loop, Text: []string{"duplicated message id"}},
	{Name: "report-malformed", Code: "0", Reason: Protocol, Text: []string{"malformed address"}},
	{Name: "report-program", Code: "0", Reason: System, Text: []string{"text was generated during delivery attempt", "generated during the delivery attempt"}},
	{Name: "report-gateway", Reason: Policy, Text: []string{"not registered gateway user"}},
	{Name: "media-error", Reason: ContentRefused, Text: []string{"media error"}},
}
