package bounce_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func ExampleExplain() {
	reply := bounce.ParseReply("550 5.7.1 Mailbox unavailable: 192.0.2.1 is blocked using zen.spamhaus.org")
	fmt.Println(bounce.Explain(reply)[0])
	// Output: block-list says ip-blocked (by phrase): "blocked using", "spamhaus"
}

func ExampleNewRules() {
	rules, err := bounce.NewRules(&bounce.RulesOptions{Rules: []bounce.Rule{
		{Name: "socio-lleno", MX: "mx.example.com", Text: []string{"sin sitio (hoy|ahora)"}, Reason: bounce.MailboxFull},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	reply := bounce.ParseReply("550 5.1.1 Sin sitio hoy")
	reply.MX = "a.mx.example.com"
	fmt.Println(rules.Classify(reply).Reason, bounce.Classify(reply).Reason)
	// Output: mailbox-full bad-mailbox
}

func ExampleReadRules() {
	file := strings.NewReader(`[{"name": "socio-lleno", "reason": "mailbox-full", "text": ["sin sitio"], "commands": ["rcpt"]}]`)
	rules, err := bounce.ReadRules(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rules[0].Name, rules[0].Reason, rules[0].Commands)
	// Output: socio-lleno mailbox-full [rcpt]
}

func TestRules(t *testing.T) {
	t.Parallel()
	rule := func(change func(*bounce.Rule)) bounce.Rule {
		r := bounce.Rule{Name: "propia", Reason: bounce.System}
		change(&r)
		return r
	}
	for _, c := range []struct {
		name  string
		rule  bounce.Rule
		reply bounce.Reply
		meets bool
	}{
		{"text", rule(func(r *bounce.Rule) { r.Text = []string{"Algo, raro"} }), bounce.Reply{Code: 550, Text: "ALGO\n550 muy raro"}, false},
		{"text over lines", rule(func(r *bounce.Rule) { r.Text = []string{"Algo, raro"} }), bounce.Reply{Code: 550, Text: "ALGO\n550 5.1.1 <a@b.example> ráro"}, true},
		{"whole words", rule(func(r *bounce.Rule) { r.Text = []string{"algo"} }), bounce.Reply{Text: "algodón"}, false},
		{"in an address", rule(func(r *bounce.Rule) { r.Text = []string{"algo raro"} }), bounce.Reply{Text: "algo.raro@example.com"}, false},
		{"and", rule(func(r *bounce.Rule) { r.Text = []string{"raro & algo"} }), bounce.Reply{Text: "algo y raro"}, true},
		{"and, half", rule(func(r *bounce.Rule) { r.Text = []string{"raro & algo"} }), bounce.Reply{Text: "algo"}, false},
		{"either", rule(func(r *bounce.Rule) { r.Text = []string{"(cosa|algo) (muy |)raro"} }), bounce.Reply{Text: "cosa muy raro"}, true},
		{"list", rule(func(r *bounce.Rule) { r.Text = []string{"{user} raro"} }), bounce.Reply{Text: "mailbox raro"}, true},
		{"unless", rule(func(r *bounce.Rule) { r.Text, r.Unless = []string{"algo"}, []string{"raro"} }), bounce.Reply{Text: "algo raro"}, false},
		{"han", rule(func(r *bounce.Rule) { r.Text = []string{"不明"} }), bounce.Reply{Text: "宛先不明です"}, true},
		{"code", rule(func(r *bounce.Rule) { r.Code = "55" }), bounce.Reply{Code: 559}, true},
		{"other code", rule(func(r *bounce.Rule) { r.Code = "55" }), bounce.Reply{Code: 540}, false},
		{"status", rule(func(r *bounce.Rule) { r.Status = "x.9.10-12" }), bounce.Reply{Code: 550, Status: bounce.Status{5, 9, 11}}, true},
		{"other status", rule(func(r *bounce.Rule) { r.Status = "4.9.10-12" }), bounce.Reply{Code: 550, Status: bounce.Status{5, 9, 11}}, false},
		{"status subject", rule(func(r *bounce.Rule) { r.Status = "5.9.x" }), bounce.Reply{Code: 550, Status: bounce.Status{5, 9, 250}}, true},
		{"command", rule(func(r *bounce.Rule) { r.Commands = []bounce.Command{bounce.Mail} }), bounce.Reply{Code: 550, Command: bounce.Mail}, true},
		{"no command", rule(func(r *bounce.Rule) { r.Commands = []bounce.Command{bounce.Mail} }), bounce.Reply{Code: 550}, false},
		{"mx", rule(func(r *bounce.Rule) { r.MX = "mx.example.com" }), bounce.Reply{Code: 550, MX: "A.MX.example.com."}, true},
		{"other mx", rule(func(r *bounce.Rule) { r.MX = "mx.example.com" }), bounce.Reply{Code: 550, MX: "amx.example.com"}, false},
		{"provider", rule(func(r *bounce.Rule) { r.Provider = "gmail" }), bounce.Reply{Code: 550, MX: "aspmx.l.google.com"}, true},
		{"provider by its wording", rule(func(r *bounce.Rule) { r.Provider = "gmail" }), bounce.Reply{Code: 550, Text: "no - gsmtp"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rules, err := bounce.NewRules(&bounce.RulesOptions{Rules: []bounce.Rule{c.rule}, Alone: true})
			require.NoError(t, err)
			got := rules.Classify(c.reply)
			require.Equal(t, c.meets, got.Rule == "propia")
			if c.meets {
				require.Equal(t, bounce.ByTag, got.Confidence)
			}
			require.Len(t, rules.Explain(c.reply), map[bool]int{true: 1}[c.meets])
		})
	}
}

func TestNewRulesRefuses(t *testing.T) {
	t.Parallel()
	good := bounce.Rule{Name: "r", Reason: bounce.System, Text: []string{"algo"}}
	for want, change := range map[string]func(r *bounce.Rule){
		`rule "": name is missing`:                   func(r *bounce.Rule) { r.Name = "" },
		`rule "r": reason is missing`:                func(r *bounce.Rule) { r.Reason = bounce.Undetermined },
		`rule "r": has no condition`:                 func(r *bounce.Rule) { r.Text = nil },
		`phrase "(a|b": parentheses`:                 func(r *bounce.Rule) { r.Text = []string{"(a|b"} },
		`phrase "(a|(b|c))": parentheses`:            func(r *bounce.Rule) { r.Text = []string{"(a|(b|c))"} },
		`phrase "{nobody} x": unknown word`:          func(r *bounce.Rule) { r.Text = []string{"{nobody} x"} },
		`rule "r": phrase "550 no": every part must`: func(r *bounce.Rule) { r.Text = []string{"550 no"} },
		`rule "r": phrase "the": every part`:         func(r *bounce.Rule) { r.Text = []string{"the & raro"} },
		`alternatives`:                               func(r *bounce.Rule) { r.Text = []string{strings.Repeat("(a|b|c|d) ", 10)} },
		`code "5x0" is not`:                          func(r *bounce.Rule) { r.Code = "5x0" },
		`status "5.7" is not of the form`:            func(r *bounce.Rule) { r.Status = "5.7" },
		`range "9-3" goes down`:                      func(r *bounce.Rule) { r.Status = "5.7.9-3" },
		`unknown provider "nadie"; set mx`:           func(r *bounce.Rule) { r.Provider = "nadie" },
		`only the last number can be a range`:        func(r *bounce.Rule) { r.Status = "4-5.7.1" },
	} {
		r := good
		change(&r)
		_, err := bounce.NewRules(&bounce.RulesOptions{Rules: []bounce.Rule{r}})
		require.ErrorContains(t, err, want)
	}
	_, err := bounce.NewRules(&bounce.RulesOptions{Rules: []bounce.Rule{good, good, {Name: "s"}}})
	require.ErrorContains(t, err, `rule "r": name is missing or used twice`)
	require.ErrorContains(t, err, `rule "s"`, "all faults at once")
}

func TestReadRulesRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`:                              "cannot unmarshal",
		`[{"name": "r", "txt": ["a"]}]`:   `rule 1 ("r")`,
		`[{"name": "r", "reason": "no"}]`: `unknown reason "no"`,
		`[{"name": "r"}, {"name": "s", "commands": ["helo"]}]`: `rule 2 ("s")`,
	} {
		_, err := bounce.ReadRules(strings.NewReader(in))
		require.ErrorContains(t, err, want)
	}
}

// TestProviders: whose server it is decides what the same words mean.
func TestProviders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mx, reply string
		provider  string
		reason    bounce.Reason
	}{
		{"example-com.mail.protection.outlook.com", "550 5.4.1 No", "exchange-online", bounce.BadMailbox},
		{"mx.example.com", "550 5.4.1 No", "", bounce.Network},
		{"hotmail-com.olc.protection.outlook.com", "550 5.7.1 part of their network is on our block list (S3140)", "outlook", bounce.IPBlocked},
		{"mx00.gmx.net", "450 Requested mail action not taken: mailbox unavailable", "gmx", bounce.RateLimited},
		{"mx.example.com", "550 x - gsmtp", "gmail", bounce.Undetermined},
		{"MX1.MAIL.ICLOUD.COM.", "550 5.1.1 unauthorized sender", "icloud", bounce.SenderRejected},
	} {
		r := bounce.ParseReply(c.reply)
		r.MX = c.mx
		got := bounce.Classify(r)
		require.Equal(t, c.provider, got.Provider, c.reply)
		require.Equal(t, c.reason, got.Reason, "%s %s %v", c.mx, c.reply, bounce.Explain(r))
	}
}

// TestBeforeRecipient: what a server says before it heard of the recipient is
// never about the recipient.
func TestBeforeRecipient(t *testing.T) {
	t.Parallel()
	for replies := range slices.Values([][]string{paraphrases[bounce.BadMailbox], paraphrases[bounce.MailboxDisabled], paraphrases[bounce.BadDomain]}) {
		for _, text := range replies {
			r := bounce.ParseReply(text)
			if r.Code == 0 {
				continue
			}
			for _, command := range []bounce.Command{bounce.Connect, bounce.Hello, bounce.StartTLS, bounce.Auth, bounce.Mail} {
				r.Command = command
				require.NotEqual(t, bounce.Hard, bounce.Classify(r).Verdict, "%v %s", command, text)
			}
		}
	}
}

func TestClassifyAllocates(t *testing.T) {
	r := bounce.ParseReply("450 4.2.0 <ana@example.com>: Greylisted, try again in 300 seconds. Buzón lleno 邮箱已满")
	r.MX = "gmail-smtp-in.l.google.com"
	bounce.Classify(r)
	require.Zero(t, testing.AllocsPerRun(100, func() { bounce.Classify(r) }))
}

// TestClassifyAgrees: forty goroutines, one answer.
func TestClassifyAgrees(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for _, replies := range paraphrases {
				for _, text := range replies {
					r := bounce.ParseReply(text)
					if a, b := bounce.Classify(r), bounce.Classify(r); a != b {
						t.Errorf("%q: %v and %v", text, a, b)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestRulesNames(t *testing.T) {
	t.Parallel()
	r := bounce.ParseReply("550 5.1.1 User unknown")
	ours := bounce.Explain(r)[0]
	_, err := bounce.NewRules(&bounce.RulesOptions{Rules: []bounce.Rule{{Name: ours.Rule.Name, Code: "5", Reason: bounce.System}}})
	require.NoError(t, err, "hosts need not know our names")
	ours.Rule.Text[0] = "changed"
	require.NotEqual(t, "changed", bounce.Explain(r)[0].Rule.Text[0])
}

// FuzzReadRules: rules that compile classify, and their faults are errors.
func FuzzReadRules(f *testing.F) {
	f.Add(`[{"name": "r", "reason": "system", "text": ["(a|b) {user} & c"], "status": "5.7.1-9", "code": "55"}]`, "550 5.7.1 a user c")
	f.Fuzz(func(t *testing.T, file, line string) {
		read, err := bounce.ReadRules(strings.NewReader(file))
		if err != nil {
			return
		}
		rules, err := bounce.NewRules(&bounce.RulesOptions{Rules: read, Alone: true})
		if err != nil {
			return
		}
		r := bounce.ParseReply(line)
		got := rules.Classify(r)
		require.Equal(t, got.Rule == "", len(rules.Explain(r)) == 0)
	})
}

func BenchmarkNewRules(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bounce.NewRules(nil); err != nil {
			b.Fatal(err)
		}
	}
}

// An alternative that is passed over would let the rest of the phrase match alone.
func TestAlternativesSaySomething(t *testing.T) {
	group := regexp.MustCompile(`\(([^()]*)\)`)
	bounce.TablePhrases(func(rule, phrase string) {
		for _, g := range group.FindAllStringSubmatch(phrase, -1) {
			choices := strings.Split(g[1], "|")
			if slices.Contains(choices, "") {
				continue // the words are optional
			}
			for _, c := range choices {
				if !slices.ContainsFunc(strings.Fields(c), func(w string) bool { return !bounce.PassedOver(w) }) {
					t.Errorf("rule %s: %q of %q says nothing", rule, c, phrase)
				}
			}
		}
	})
}
