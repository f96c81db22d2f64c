package bounce_test

import (
	"encoding"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func ExampleReport_Candidates() {
	report := bounce.Report{
		To: []string{"b+01k0x@bounces.example.com"},
		Original: bounce.Original{
			MessageID: "01k0x@example.com",
			Header:    "X-Campaign: abril-2026,\r\n parte 2\r\nSubject: Hola\r\n",
		},
	}
	for candidate := range report.Candidates() {
		fmt.Println(candidate)
	}
	// Output:
	// b+01k0x@bounces.example.com
	// 01k0x@example.com
	// abril-2026, parte 2
}

func TestOriginalFields(t *testing.T) {
	for _, tt := range []struct{ name, header, want string }{
		{"none", "", ""},
		{"folded", "A: b\r\n c\r\n\td\r\nE: f\r\n", "[A=b c d][E=f]"},
		{"bare line feeds", "A: b\n c\nE: f", "[A=b c][E=f]"},
		{"space before the colon", "A : b\r\n", "[A=b]"},
		{"no field", "From me Mon Jan\r\nA: b\r\n: c\r\n", "[A=b]"},
		{"no value", "A:\r\nB:", "[A=][B=]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			for name, value := range (&bounce.Original{Header: tt.header}).Fields() {
				got += "[" + name + "=" + value + "]"
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestCandidatesStops(t *testing.T) {
	report := bounce.Report{To: []string{"a@example.com"}, EnvelopeID: "b", Original: bounce.Original{Header: "X-A: c\n"}}
	all := slices.Collect(report.Candidates())
	require.Equal(t, []string{"a@example.com", "b", "c"}, all)
	for n := range all {
		var got []string
		for s := range report.Candidates() {
			if got = append(got, s); len(got) == n+1 {
				break
			}
		}
		require.Equal(t, all[:n+1], got)
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for k := bounce.NotReport; k <= bounce.KindDisposition; k++ {
		var got bounce.Kind
		roundTrip(t, k, &got)
		require.Equal(t, k, got)
	}
	for f := bounce.FateUnknown; f <= bounce.FateExpanded; f++ {
		var got bounce.Fate
		roundTrip(t, f, &got)
		require.Equal(t, f, got)
	}
	for _, s := range []bounce.Status{{}, {2, 0, 0}, {4, 7, 650}, {5, 1, 10}} {
		var got bounce.Status
		roundTrip(t, s, &got)
		require.Equal(t, s, got)
	}
	_, err := bounce.ParseKind("bouncy")
	require.EqualError(t, err, `bounce: unknown kind "bouncy"`)
}

func TestStatusText(t *testing.T) {
	text, err := json.Marshal(bounce.Status{5, 1, 1})
	require.NoError(t, err)
	require.Equal(t, `"5.1.1"`, string(text))
	for _, wrong := range []string{"5", "5.1", "5.1.1 ", "5.1.1 (bad mailbox)", "3.1.1", "5.1.1234", "cinco"} {
		s := bounce.Status{4, 2, 2}
		require.EqualError(t, s.UnmarshalText([]byte(wrong)), fmt.Sprintf("bounce: status %q is not of the form 5.1.1", wrong))
		require.Equal(t, bounce.Status{4, 2, 2}, s)
	}
}

func roundTrip(t *testing.T, v encoding.TextMarshaler, into encoding.TextUnmarshaler) {
	t.Helper()
	text, err := v.MarshalText()
	require.NoError(t, err)
	require.NoError(t, into.UnmarshalText(text))
}
