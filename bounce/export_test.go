package bounce

import (
	"slices"
	"strings"
)

// TablePhrases calls f with each phrase of the table of this package.
func TablePhrases(f func(rule, phrase string)) {
	for _, section := range sections() {
		for _, r := range section.rules {
			for _, phrase := range slices.Concat(r.Text, r.Unless) {
				f(r.Name, phrase)
			}
		}
	}
}

// PassedOver reports whether phrases and texts are read without a word.
func PassedOver(word string) bool { return slices.Contains(strings.Fields(passedOver), word) }

// TranslateEvents translates events without a request, so that they can be fuzzed.
func TranslateEvents(name, events string) []*Report {
	for _, s := range []*service{&mailjet, &postmark, &mailgun, &sendGrid, &ses} {
		if s.name == name {
			reports, _ := s.reports([]byte(events))
			return reports
		}
	}
	panic("no service " + name)
}
