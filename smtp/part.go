package smtp

import "context"

// sendPart sends m to those of its recipients whose numbers part holds, and puts
// their outcomes where they belong in result.
func sendPart(ctx context.Context, t Transport, m *Message, part []int, result *Result) {
	if len(part) == 0 {
		return
	}
	some := *m
	some.To = make([]Recipient, len(part))
	for i, n := range part {
		some.To[i] = m.To[n]
	}
	sent, _ := t.Send(ctx, &some)
	for i, n := range part {
		result.Recipients[n] = sent.Recipients[i]
	}
}
