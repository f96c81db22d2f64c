package bounce_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

// truth is a line of truth.jsonl: a mail, and what is known of it.
type truth struct {
	File       string
	Corpus     string
	Kind       string
	Recipients []expected
}

type expected struct {
	Address   string
	Original  string
	Status    string
	Code      string
	Reason    string
	Hard      *bool
	Disputed  map[string]map[string]any
	NoAddress bool `json:"no_address"`
}

// ratio counts what was found of what was to be found.
type ratio struct{ found, total int }

func (s *ratio) add(ok bool) {
	s.total++
	if ok {
		s.found++
	}
}

func (s ratio) percent() float64 { return 100 * float64(s.found) / float64(max(1, s.total)) }

func (s ratio) String() string { return fmt.Sprintf("%.1f %% (%d/%d)", s.percent(), s.found, s.total) }

// tally is the ratio of one part of the corpus.
type tally struct {
	recipients, status, code, reason, hard ratio
	kind                                   ratio
	extras                                 int // addresses that are no recipients
	mistaken                               int // ordinary mail taken for returned mail
}

func (t *tally) String() string {
	return fmt.Sprintf("recipients %v, wrong extras %d, status %v, code %v, reason %v, hard %v, kind %v, ordinary mail mistaken %d",
		t.recipients, t.extras, t.status, t.code, t.reason, t.hard, t.kind, t.mistaken)
}

// TestCorpus scores Parse on real returned mail.
func TestCorpus(t *testing.T) {
	dir := corpus(t)
	accepted := acceptedReasons(t, dir)
	var own, foreign tally
	var halves [2]tally
	for _, mail := range truths(t, dir) {
		part := &own
		if mail.Corpus != "sisimai" {
			part = &foreign
		}
		check(t, dir, mail, accepted, part, &halves[half(mail.File)])
	}
	t.Logf("standard and MTA-specific: %v", &own)
	t.Logf("foreign collections: %v", &foreign)
	t.Logf("one half: %v", &halves[0])
	t.Logf("the other: %v", &halves[1])
	require.GreaterOrEqual(t, own.recipients.percent(), 99.0)
	require.GreaterOrEqual(t, own.status.percent(), 99.0)
	require.GreaterOrEqual(t, own.code.percent(), 99.0)
	require.GreaterOrEqual(t, own.reason.percent(), 97.0)
	require.GreaterOrEqual(t, own.hard.percent(), 98.5)
	require.GreaterOrEqual(t, foreign.recipients.percent(), 96.0)
	require.LessOrEqual(t, foreign.extras, 2)
	require.LessOrEqual(t, own.mistaken+foreign.mistaken, 1)
}

// check scores one mail in each of the parts.
func check(t *testing.T, dir string, mail truth, accepted map[string][]string, parts ...*tally) {
	f, err := os.Open(filepath.Join(dir, mail.File))
	require.NoError(t, err)
	defer f.Close()
	report, err := bounce.Parse(f)
	require.NoError(t, err)
	miss := func(what string, want, got any) { t.Logf("%s: %s: want %v, got %v", mail.File, what, want, got) }
	for _, part := range parts {
		log := part == parts[0]
		if mail.Kind == "not-bounce" {
			if report.Kind != bounce.NotReport {
				part.mistaken++
				if log {
					miss("kind", "not-report", report.Kind)
				}
			}
			continue
		}
		ok := kindFits(mail.Kind, report.Kind)
		if part.kind.add(ok); !ok && log {
			miss("kind", mail.Kind, report.Kind)
		}
		wanted := map[string]bool{}
		for _, want := range mail.Recipients {
			wanted[strings.ToLower(want.Address)] = true
			wanted[strings.ToLower(want.Original)] = true
			if want.Address == "" {
				continue
			}
			got := find(report, want)
			if part.recipients.add(got != nil); got == nil {
				if log {
					miss("recipient", want.Address, addressesOf(report))
				}
				continue
			}
			scoreFields(want, got, accepted, part, func(what string, want, got any) {
				if log {
					miss(what, want, got)
				}
			})
		}
		if mail.Kind != "bounce" || wanted[""] && len(wanted) == 1 {
			continue // nothing is known of its recipients
		}
		for _, got := range report.Recipients {
			if !wanted[strings.ToLower(got.Final)] && !wanted[strings.ToLower(got.Original)] {
				part.extras++
				if log {
					miss("extra", mail.Recipients, got.Final)
				}
			}
		}
	}
}

// half tells the mails that rules are made by from those that check them. Twins
// with other line ends are in the same half.
func half(file string) int {
	sum := crc32.ChecksumIEEE([]byte(filepath.Base(file)))
	return int(sum & 1)
}

func kindFits(want string, got bounce.Kind) bool {
	switch want {
	case "arf":
		return got == bounce.KindComplaint
	case "vacation":
		return got == bounce.KindAutoReply
	}
	return got == bounce.KindBounce || got == bounce.KindDelay || got == bounce.KindSuccess
}

func find(report *bounce.Report, want expected) *bounce.Recipient {
	for i := range report.Recipients {
		r := &report.Recipients[i]
		for _, a := range []string{r.Final, r.Original} {
			if a != "" && (strings.EqualFold(a, want.Address) || strings.EqualFold(a, want.Original)) {
				return r
			}
		}
	}
	return nil
}

func addressesOf(report *bounce.Report) (all []string) {
	for _, r := range report.Recipients {
		all = append(all, r.Final)
	}
	return all
}

// scoreFields scores what is known of a recipient, but for what references
// dispute.
func scoreFields(want expected, got *bounce.Recipient, accepted map[string][]string, part *tally, miss func(what string, want, got any)) {
	disputed := func(field string) bool {
		for _, fields := range want.Disputed {
			if _, ok := fields[field]; ok {
				return true
			}
		}
		return false
	}
	text := fmt.Sprintf("%q by %s", got.Reply.Text, got.Rule)
	if want.Status != "" && !disputed("status") {
		ok := got.Status.String() == want.Status
		if part.status.add(ok); !ok {
			miss("status", want.Status, got.Status.String()+" "+text)
		}
	}
	if want.Code != "" && !disputed("code") {
		code := fmt.Sprint(got.Reply.Code)
		if part.code.add(code == want.Code); code != want.Code {
			miss("code", want.Code, code+" "+text)
		}
	}
	if want.Reason != "" && !disputed("reason") {
		set := accepted[want.Reason]
		ok := slices.Contains(set, "*") || slices.Contains(set, got.Reason.String())
		if part.reason.add(ok); !ok {
			miss("reason", want.Reason, got.Reason.String()+" "+text)
		}
	}
	unscored := []string{"suspend", "filtered", "notaccept", "onhold", "undefined"}
	if want.Hard != nil && !disputed("hard") && !slices.Contains(unscored, want.Reason) {
		hard := got.Verdict == bounce.Hard
		if part.hard.add(hard == *want.Hard); hard != *want.Hard {
			miss("hard", *want.Hard, fmt.Sprint(hard, " ", got.Reason, " ", text))
		}
	}
}

// corpus is the folder of real mail; the test is skipped without it.
func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("BOUNCE_CORPUS")
	if dir == "" {
		skip(t, "BOUNCE_CORPUS")
	}
	return dir
}

func skip(t *testing.T, variable string) {
	t.Helper()
	if os.Getenv("FRANQUEO_CI") != "" {
		t.Fatal(variable + " is not set")
	}
	t.Skip("set " + variable + " to run it")
}

func truths(t *testing.T, dir string) (all []truth) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "truth.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one truth
		require.NoError(t, json.Unmarshal(lines.Bytes(), &one))
		all = append(all, one)
	}
	require.NoError(t, lines.Err())
	slices.SortFunc(all, func(a, b truth) int { return cmp.Compare(a.File, b.File) })
	return all
}

// acceptedReasons maps the labels of the sources to those of our reasons that are right.
func acceptedReasons(t *testing.T, dir string) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "taxonomy.json"))
	require.NoError(t, err)
	var file struct {
		Accept map[string]map[string][]string
	}
	require.NoError(t, json.Unmarshal(data, &file))
	return file.Accept["sisimai"]
}

// styles are the ways in which servers put a reply into a text. join stands
// between the lines of the reply.
var styles = []struct{ name, text, join string }{
	{"after the command", "This is a permanent error. The following address(es) failed:\n\n  ana@example.net\n    host mx.example.net [192.0.2.1]\n    SMTP error from remote mail server after RCPT TO:<ana@example.net>:\n    REPLY\n\n------ This is a copy of the message, including all the headers. ------\n\nReturn-path: <x@example.com>\nReceived: by x\nMessage-ID: <1@x>\n", "\n    "},
	{"between two sentences", "I'm afraid I wasn't able to deliver your message to the following addresses.\n\n<ana@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: REPLY\nGiving up on 192.0.2.1.\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <x@example.com>\nReceived: by x\nMessage-ID: <1@x>\n", "\n"},
	{"in a transcript", "   ----- The following addresses had permanent fatal errors -----\n<ana@example.net>\n\n   ----- Transcript of session follows -----\n... while talking to mx.example.net.:\n>>> RCPT To:<ana@example.net>\n<<< REPLY\n", "\n<<< "},
	{"behind the address", "An error has occurred while attempting to deliver a message for\nthe following list of recipients:\n\nana@example.net: REPLY\n\n    Below is a copy of the original message:\n", " "},
	{"below a sentence", "There was an error delivering your mail to <ana@example.net>.\n\nmx.example.net [192.0.2.1] did not like our RCPT TO:\nREPLY\n\nMessage headers follow.\n\nReceived: by x\nMessage-ID: <1@x>\n", "\n"},
	{"in a sentence", "Delivery to the following recipient failed permanently:\n\n     ana@example.net\n\nTechnical details of permanent failure: \nThe error that the other server returned was: REPLY (state 13).\n\n----- Original message -----\n\nReceived: by x\nMessage-ID: <1@x>\n", " "},
	{"on its own line", "Sorry, we were unable to deliver your message to the following address.\n\n<ana@example.net>:\nRemote host said:\nREPLY\n [RCPT_TO]\n\n--- Below this line is a copy of the message.\n\nReceived: by x\nMessage-ID: <1@x>\n", "\n"},
	{"as a reason", "The following address failed:\n\nana@example.net:\nSMTP error from remote server for RCPT TO command, host: mx.example.net (192.0.2.1) reason: REPLY\n", " "},
	{"as a log", "Sent <<< RCPT TO:<ana@example.net>\nReceived >>> REPLY\n\nUnable to deliver message to <ana@example.net>.\n", "\n"},
	{"above the address", "Your message could not be delivered because of\n\nREPLY\n\nThe following recipients were affected:\n    ana@example.net\n", "\n"},
	{"in a letter", "Your message could not be delivered to ana@example.net.\n\nThe server answered: REPLY\n", " "},
}

// TestCorpusStyles has every known reply come out of every style as it went in.
func TestCorpusStyles(t *testing.T) {
	replies := readCorpusReplies(t, corpus(t))
	for _, style := range styles {
		t.Run(style.name, func(t *testing.T) {
			t.Parallel()
			for _, one := range replies {
				want := bounce.ParseReply(one.Reply)
				if want.Code < 400 {
					continue // errors of the sender's own side
				}
				text := strings.Replace(style.text, "REPLY", strings.ReplaceAll(one.Reply, "\n", style.join), 1)
				report := parse(t, "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nTo: x@example.com\nSubject: failure notice\n\n"+text)
				require.Equal(t, []string{"ana@example.net"}, addressesOf(report), one.Reply)
				got := report.Recipients[0]
				require.Equal(t, []any{want.Code, want.Status, bounce.Classify(want).Reason}, []any{got.Reply.Code, got.Reply.Status, got.Reason}, one.Reply)
			}
		})
	}
}
