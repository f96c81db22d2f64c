package bounce_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

// corpusReply is a line of replies.jsonl.
type corpusReply struct {
	Reply   string
	Source  string
	Command string
	Rhost   string
	Expect  struct {
		Hard   *bool
		Reason string
		Class  string
		Action string
	}
}

// taxonomy says which of our reasons are right for the word of another source.
type taxonomy struct {
	Accept map[string]map[string][]string
}

// replyCorpus is the folder of real replies, which are not part of this project.
func replyCorpus(t testing.TB) string {
	dir := os.Getenv("BOUNCE_CORPUS")
	if dir == "" && os.Getenv("FRANQUEO_CI") != "" {
		t.Fatal("BOUNCE_CORPUS is not set")
	}
	if dir == "" {
		t.Skip("BOUNCE_CORPUS is not set")
	}
	return dir
}

func readCorpusReplies(t testing.TB, dir string) (all []corpusReply) {
	f, err := os.Open(filepath.Join(dir, "replies.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r corpusReply
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		all = append(all, r)
	}
	return all
}

func readTaxonomy(t testing.TB, dir string) (x taxonomy) {
	b, err := os.ReadFile(filepath.Join(dir, "taxonomy.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &x))
	return x
}

// classify gives the reply to Classify as a sender would.
func (c corpusReply) classify() bounce.Classification {
	r := bounce.ParseReply(c.Reply)
	r.MX = c.Rhost
	if command := corpusCommands[c.Command]; command != bounce.AnyCommand {
		r.Command = command
	}
	return bounce.Classify(r)
}

// corpusCommands: in the corpus, DATA also stands for the end of the data.
var corpusCommands = map[string]bounce.Command{
	"HELO": bounce.Hello, "EHLO": bounce.Hello, "CONN": bounce.Connect, "STARTTLS": bounce.StartTLS,
	"MAIL": bounce.Mail, "MAIL FROM": bounce.Mail, "RCPT": bounce.Rcpt, "RCPT TO": bounce.Rcpt, "DATA": bounce.EndOfData,
}

// accepts reports whether the reason is right; known is false where no reason is
// known.
func (x taxonomy) accepts(c corpusReply, r bounce.Reason) (right, known bool) {
	source, _, _ := strings.Cut(c.Source, ":")
	label := c.Expect.Class
	if c.Expect.Reason != "" {
		label = c.Expect.Reason
	}
	accept := x.Accept[source][label]
	return slices.Contains(accept, r.String()) || slices.Contains(accept, "*"), accept != nil
}

// scored reports whether hard is scored for a label.
func (c corpusReply) scored() bool {
	switch c.Expect.Reason {
	case "suspend", "filtered", "notaccept", "onhold", "undefined":
		return false
	}
	return c.Expect.Hard != nil
}

// score counts how well replies are told apart.
type score struct {
	hard, hardFound, healthy, wronglyHard, reasons, right int
}

func (s *score) add(t testing.TB, x taxonomy, c corpusReply, log bool) {
	got := c.classify()
	isHard := got.Verdict == bounce.Hard
	if c.scored() && *c.Expect.Hard {
		s.hard++
		if isHard {
			s.hardFound++
		} else if log {
			t.Logf("MISSED %s (%s) %s %s: %s", got.Reason, got.Rule, c.Command, c.Rhost, c.Reply)
		}
	} else if c.scored() {
		s.healthy++
		if isHard {
			s.wronglyHard++
		}
		if isHard && log {
			t.Logf("WRONGLY HARD %s (%s), should be %s %s: %s", got.Reason, got.Rule, c.Expect.Reason, c.Expect.Class, c.Reply)
		}
	}
	right, known := x.accepts(c, got.Reason)
	if !known {
		return
	}
	s.reasons++
	if right {
		s.right++
	} else if log {
		t.Logf("REASON %s (%s), should be %s%s: %s", got.Reason, got.Rule, c.Expect.Reason, c.Expect.Class, c.Reply)
	}
}

func (s score) plus(o score) score {
	return score{
		s.hard + o.hard, s.hardFound + o.hardFound, s.healthy + o.healthy,
		s.wronglyHard + o.wronglyHard, s.reasons + o.reasons, s.right + o.right,
	}
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

func (s score) log(t testing.TB, name string) {
	t.Logf("%s: hard recall %.1f %% of %d, healthy wrongly called hard %.2f %% of %d, reason right %.1f %% of %d",
		name, percent(s.hardFound, s.hard), s.hard, percent(s.wronglyHard, s.healthy), s.healthy, percent(s.right, s.reasons), s.reasons)
}

// TestCorpusReplies holds Classify to its bars on real replies. They are counted in
// two halves: rules that were written after reading the first are judged by the
// second.
func TestCorpusReplies(t *testing.T) {
	dir := replyCorpus(t)
	x := readTaxonomy(t, dir)
	var halves [2]score
	for _, c := range readCorpusReplies(t, dir) {
		half := sha1.Sum([]byte(c.Reply))
		halves[half[0]%2].add(t, x, c, half[0]%2 == 0 && testing.Verbose())
	}
	halves[0].log(t, "first half")
	halves[1].log(t, "second half")
	all := halves[0].plus(halves[1])
	all.log(t, "all")
	require.GreaterOrEqual(t, percent(all.hardFound, all.hard), 92.0, "hard recall")
	require.LessOrEqual(t, percent(all.wronglyHard, all.healthy), 1.0, "healthy addresses wrongly called hard")
}
