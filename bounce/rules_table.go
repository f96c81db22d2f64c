package bounce

// section is a part of the table, in the order in which it is tried.
type section struct {
	provider string
	rules    []Rule
}

// sections is the whole table: what succeeded, the dialects, what servers of all
// kinds say, and at last the codes. Words about the sender stand before words
// about the recipient, for "550 mailbox unavailable: your IP is blacklisted" holds
// both; clear words stand before status codes, and vague words after them.
func sections() []section {
	all := []section{{"", success}}
	for _, p := range providers {
		all = append(all, section{p.name, p.rules})
	}
	return append(all,
		section{"", servers},
		section{"", aboutSender},
		section{"", aboutMessage},
		section{"", aboutRecipient},
		section{"", languages},
		section{"", clearStatus},
		section{"", vagueWords},
		section{"", vagueStatus},
		section{"", codes},
	)
}

// success is what is no failure.
var success = []Rule{
	{Name: "accepted", Code: "2", Reason: Delivered},
	{Name: "status-accepted", Code: "0", Status: "2.x.x", Reason: Delivered},
}
