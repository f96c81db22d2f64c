package bounce

// provider is one whose servers speak a dialect of their own.
type provider struct {
	name  string
	mx    []string // how the names of its servers end
	marks []string // phrases that give it away where the server is not known
	rules []Rule
}

// providers are in the order in which their rules are tried.
var providers = []provider{
	{"gmail", []string{"google.com", "googlemail.com"}, []string{"gsmtp", "gcdp", "support google com"}, gmail},
}

var gmail = []Rule{
	{Name: "gmail-user", tag: true, Reason: BadMailbox, Text: []string{"p nosuchuser"}},
}
