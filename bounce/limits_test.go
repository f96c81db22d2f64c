package bounce_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func parse(t *testing.T, mail string) *bounce.Report {
	t.Helper()
	report, err := bounce.Parse(strings.NewReader(mail))
	require.NoError(t, err)
	return report
}

// TestParseBudget holds one delivery report to its budget of memory.
func TestParseBudget(t *testing.T) {
	parse(t, postfixReport) // compiles the rules
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { parse(t, postfixReport) }), 40.0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		parse(t, postfixReport)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/100, uint64(16<<10))
}

// TestParseKeepsNothing holds that a report does not keep a large mail alive.
func TestParseKeepsNothing(t *testing.T) {
	mail := strings.Replace(postfixReport, "Hola, Ana.", strings.Repeat("Hola, Ana.\n", 100_000), 1)
	var reports []*bounce.Report
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 20 {
		reports = append(reports, parse(t, mail))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(len(mail)))
	require.Len(t, reports, 20)
}

// TestParseLinear doubles what grows, and sees the time not grow by its square.
func TestParseLinear(t *testing.T) {
	for name, mail := range map[string]func(n int) string{
		"body lines": func(n int) string {
			return strings.Replace(postfixReport, "Hola, Ana.", strings.Repeat("Hola, Ana.\n", 10*n), 1)
		},
		"recipients":         statusReport,
		"recipients in text": textReport,
		"lines of text":      func(n int) string { return textReport(1) + strings.Repeat("could not deliver to a@example.net\n", n) },
		"at signs":           func(n int) string { return textReport(1) + strings.Repeat("@", 10*n) },
		"brackets":           func(n int) string { return textReport(1) + strings.Repeat("<a@b <a@", n) },
		"delimiters": func(n int) string {
			return strings.Replace(postfixReport, "\n\n", "\n\n"+strings.Repeat("--4Vz.1718156130/mx1.example.com\n\nx\n", n), 1)
		},
		"headers":       func(n int) string { return strings.Repeat("X-A: b\n c\n", 5*n) + postfixReport },
		"returned":      func(n int) string { return textReport(1) + strings.Repeat("From: a@example.net\n\n", n) },
		"numbers":       func(n int) string { return textReport(1) + strings.Repeat("550 5.1.1 550-5.1.1 ", n) },
		"encoded words": func(n int) string { return "Subject: " + strings.Repeat("=?utf-8?q?a?= ", n) + "\n" + postfixReport },
		"tags":          func(n int) string { return "Content-Type: text/html\n\n" + strings.Repeat("<p>a@example.net", n) },
		"commands":      func(n int) string { return textReport(1) + strings.Repeat("RCPT TO:<a@example.net>\n", n) },
		"names": func(n int) string {
			return strings.Replace(textReport(0), "Hi.", "to:\n"+strings.Repeat(" ana (unknown)\n", n), 1)
		},
		"expired":     func(n int) string { return strings.ReplaceAll(statusReport(n/8), "5.1.1", "4.4.7") },
		"first lines": func(n int) string { return strings.ReplaceAll(statusReport(n/8), "550 5.1.1", "550-5.1.1") },
		"unavailable": func(n int) string { return strings.ReplaceAll(textReport(n/8), "User unknown", "Service unavailable") },
		"open tags":   func(n int) string { return "Content-Type: text/html\n\n" + strings.Repeat("<p ", 5*n) },
	} {
		t.Run(name, func(t *testing.T) {
			small, large := fastest(t, mail(2000)), fastest(t, mail(16_000))
			require.Less(t, large, 32*small+200*time.Millisecond, "8 times as much took %v after %v", large, small)
		})
	}
}

func fastest(t *testing.T, mail string) time.Duration {
	t.Helper()
	best := time.Hour
	for range 3 {
		start := time.Now()
		parse(t, mail)
		best = min(best, time.Since(start))
	}
	return best
}

func TestParseLimits(t *testing.T) {
	t.Run("head and tail", func(t *testing.T) {
		t.Parallel()
		head, tail, _ := strings.Cut(postfixReport, "--4Vz.1718156130/mx1.example.com\nContent-Description: Delivery")
		mail := head + strings.Repeat("relleno\n", 1<<20) + "--4Vz.1718156130/mx1.example.com\nContent-Description: Delivery" + tail
		report := parse(t, mail)
		require.Equal(t, "ana@example.net", report.Recipients[0].Final)
		require.Equal(t, "01k0x@example.com", report.Original.MessageID)
		require.Equal(t, 1<<20, report.Problems[0].Offset)
		require.Equal(t, fmt.Sprintf("%d bytes were passed over", len(mail)-2<<20), report.Problems[0].Text)
	})
	t.Run("endless", func(t *testing.T) {
		t.Parallel()
		r := &endless{}
		_, err := bounce.Parse(r)
		require.NoError(t, err)
		require.LessOrEqual(t, r.n, 65<<20)
	})
	t.Run("recipients", func(t *testing.T) {
		t.Parallel()
		report := parse(t, statusReport(10_005))
		require.Len(t, report.Recipients, 10_000)
		require.Equal(t, "more than 10000 recipients", report.Problems[0].Text)
	})
	t.Run("parts", func(t *testing.T) {
		t.Parallel()
		many := strings.Repeat("--4Vz.1718156130/mx1.example.com\n\nx\n", 200)
		report := parse(t, strings.Replace(postfixReport, "--4Vz.1718156130/mx1.example.com--", many, 1))
		require.Equal(t, "ana@example.net", report.Recipients[0].Final)
		require.Equal(t, "more than 100 parts", report.Problems[0].Text)
	})
	t.Run("levels", func(t *testing.T) {
		t.Parallel()
		var mail bytes.Buffer
		for i := range 50 {
			fmt.Fprintf(&mail, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
		}
		require.Equal(t, bounce.NotReport, parse(t, mail.String()).Kind)
	})
	t.Run("returned header", func(t *testing.T) {
		t.Parallel()
		long := strings.Replace(postfixReport, "Feedback-ID:", "X-Long: "+strings.Repeat("x", 100<<10)+"\nFeedback-ID:", 1)
		require.Len(t, parse(t, long).Original.Header, 64<<10)
	})
	t.Run("field", func(t *testing.T) {
		t.Parallel()
		require.Len(t, parse(t, "Subject: "+strings.Repeat("x", 100<<10)+"\n"+postfixReport).Subject, len("Undelivered Mail Returned to Sender"))
		require.Len(t, parse(t, "Subject: "+strings.Repeat("x", 100<<10)+"\n\nHola").Subject, 64<<10)
	})
	t.Run("text", func(t *testing.T) {
		t.Parallel()
		require.Len(t, parse(t, textReport(500)).Text, 4<<10)
	})
}

// endless is a mail that never ends.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n > 100<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	for i := range p {
		p[i] = "Asunto: x\n"[(e.n+i)%10]
	}
	e.n += len(p)
	return len(p), nil
}
