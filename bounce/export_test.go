package bounce

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
