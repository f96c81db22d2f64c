package bounce

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// add adds a recipient to the report.
func (p *parser) add() *Recipient {
	r := p.report
	if len(r.Recipients) >= maxRecipients {
		p.problems.add(0, "more than %d recipients", maxRecipients)
		return &Recipient{}
	}
	r.Recipients = append(r.Recipients, Recipient{})
	return &r.Recipients[len(r.Recipients)-1]
}

// finishDelivery fills in what the fields leave open from the prose.
func (p *parser) finishDelivery() {
	r := p.report
	if containsFold(p.prose, "-recipient:") && len(r.Recipients) == 0 { // QUIRK: fields within the text
		p.readEmbeddedStatus()
	}
	p.dropNameless()
	if len(r.Recipients) == 0 && p.readNested() {
		return
	}
	switch {
	case len(r.Recipients) == 0:
		p.addFromProse(candidates(p.prose))
	case p.needsProse():
		p.enrich(candidates(p.prose))
	}
	for i := range r.Recipients {
		p.settle(&r.Recipients[i])
	}
}

// readNested takes over a report that is itself returned: lists and gateways pass
// reports on within their own.
func (p *parser) readNested() bool {
	if p.nesting >= maxNesting || !containsFold(p.returned[:min(len(p.returned), maxHeaderLine)], "delivery-status") {
		return false
	}
	inner := parser{report: &Report{}, nesting: p.nesting + 1}
	inner.parse(p.returned)
	r := p.report
	switch inner.report.Kind {
	case KindBounce, KindDelay, KindSuccess:
		if len(inner.report.Recipients) == 0 {
			return false
		}
		r.Kind, r.Recipients, r.Original = inner.report.Kind, inner.report.Recipients, inner.report.Original
		r.ReportingMTA, r.EnvelopeID, r.Arrival = inner.report.ReportingMTA, inner.report.EnvelopeID, inner.report.Arrival
		return true
	}
	return false
}

// readEmbeddedStatus reads the fields of a delivery status that stand in the text.
func (p *parser) readEmbeddedStatus() {
	at := len(p.prose)
	for _, name := range [...]string{"reporting-mta:", "final-recipient:", "original-recipient:", "action:"} {
		if i := indexFold(p.prose, name); i >= 0 && (i == 0 || p.prose[i-1] == '\n') {
			at = min(at, i)
		}
	}
	fields := p.prose[at:]
	p.prose = p.prose[:at]
	p.readStatus(fields)
}

// dropNameless removes recipients of the fields that have no address, unless the
// only one can be named.
func (p *parser) dropNameless() {
	r := p.report
	kept := r.Recipients[:0]
	for _, one := range r.Recipients {
		if strings.IndexByte(one.Final, '@') < 0 && strings.IndexByte(one.Original, '@') >= 0 {
			one.Final = one.Original
		}
		if one.Final == "" && len(r.Recipients) == 1 {
			one.Final = p.onlyRecipient()
		}
		if strings.EqualFold(one.Original, one.Final) {
			one.Original = ""
		}
		if one.Final != "" {
			kept = append(kept, one)
		}
	}
	if len(kept) < len(r.Recipients) {
		p.problems.add(0, "%d recipients without an address", len(r.Recipients)-len(kept))
	}
	r.Recipients = kept
}

func (p *parser) onlyRecipient() string {
	if len(p.failed) == 1 {
		return p.failed[0]
	}
	if list := p.best(candidates(p.prose)); len(list) == 1 {
		return list[0].address
	}
	return p.returnedRecipient()
}

// needsProse says whether a recipient's fields leave its reason open.
func (p *parser) needsProse() bool {
	for i := range p.report.Recipients {
		if vague(&p.report.Recipients[i]) {
			return true
		}
	}
	return false
}

// vague says that neither the status nor the diagnostic gives a reason.
func vague(r *Recipient) bool {
	return r.Fate != FateDelivered && r.Fate != FateRelayed && r.Fate != FateExpanded && codeStart(r.Reply.Text) < 0 &&
		(unspecific(r.Status) || strings.TrimSpace(r.Reply.Text) == "")
}

// unspecific says that a status tells no more than its class.
func unspecific(s Status) bool { return s[1] == 0 && s[2] == 0 }

// enrich gives vague recipients the reply that the prose tells of them.
func (p *parser) enrich(list []candidate) {
	said := p.replies(list)
	for i := range p.report.Recipients {
		r := &p.report.Recipients[i]
		if !vague(r) {
			continue
		}
		text, ok := said[foldAddress(r.Final)]
		if !ok && r.Original != "" {
			text = said[foldAddress(r.Original)]
		}
		if len(p.report.Recipients) == 1 {
			text = p.orAny(text)
		}
		if text.reply == "" && unspecific(r.Status) {
			text.reply = strings.TrimSpace(cutText(p.prose))
		}
		if text.reply != "" && (unspecific(r.Status) || codeStart(text.reply) == 0 || failures.in(text.reply) && len(text.reply) < maxExcerpt) {
			p.say(r, text)
		}
	}
}

// best are the candidates that words name: by the more certain words, if there are
// any. The side that sent the original is no recipient, unless there is no other.
func (p *parser) best(list []candidate) []candidate {
	for _, certainty := range [...]int{listed, cued, named} {
		if kept := p.choose(list, certainty, false); len(kept) > 0 {
			return kept
		}
	}
	return p.choose(list, cued, true)
}

// choose takes the candidates of at least this certainty, each address once.
func (p *parser) choose(list []candidate, certainty int, senders bool) []candidate {
	var kept []candidate
	seen := make(map[string]bool, len(list))
	for _, c := range list {
		key := foldAddress(c.address)
		if c.certainty < certainty || seen[key] || !senders && c.certainty < listed && p.isSender(c.address) {
			continue
		}
		seen[key] = true
		kept = append(kept, c)
	}
	return kept
}

// isSender says whether an address is of the side that sent the original.
func (p *parser) isSender(address string) bool {
	o := &p.report.Original
	if strings.EqualFold(address, o.From) || strings.EqualFold(address, o.ReturnPath) || strings.EqualFold(address, p.report.From) {
		return true
	}
	for _, to := range p.report.To {
		if strings.EqualFold(address, to) {
			return true
		}
	}
	return false
}

func foldAddress(a string) string { return strings.ToLower(a) }

// addFromProse adds the recipients of a report that has no fields.
func (p *parser) addFromProse(list []candidate) {
	replies := p.replies(list)
	if len(p.failed) > 0 {
		for _, a := range p.failed {
			p.addSaid(a, replies)
		}
		return
	}
	for _, c := range p.best(list) {
		p.addSaid(c.address, replies)
	}
	if len(p.report.Recipients) == 0 {
		for _, a := range p.fallback() {
			p.addSaid(a, replies)
		}
	}
}

// fallback names the recipients where the prose has no address of one.
func (p *parser) fallback() []string {
	listed := names(p.prose)
	var all []string
	for _, to := range p.report.Original.To {
		local, _, _ := strings.Cut(to, "@")
		for _, name := range listed {
			if strings.EqualFold(name, local) {
				all = append(all, to)
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	for _, a := range [...]string{p.returnedRecipient(), firstAddress(p.report.Subject)} {
		if a != "" {
			return []string{a}
		}
	}
	if a := p.verpRecipient(); a != "" && len(listed) == 0 {
		return []string{a}
	}
	_, host, _ := strings.Cut(p.report.From, "@")
	domain, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(host))
	if err != nil {
		return nil
	}
	for _, name := range listed {
		all = append(all, name+"@"+domain)
	}
	return all
}

// verpRecipient is the recipient that a variable envelope return path of the usual
// form holds: "list-bounces+ana=example.net@example.com".
func (p *parser) verpRecipient() string {
	for _, to := range p.report.To {
		local, _, _ := strings.Cut(to, "@")
		mark := strings.LastIndexAny(local, "+-")
		name, domain, found := strings.Cut(local[mark+1:], "=")
		if found && mark > 0 && name != "" && strings.IndexByte(domain, '.') > 0 {
			return name + "@" + domain
		}
	}
	return ""
}

// addSaid adds a recipient, and what the prose says of it.
func (p *parser) addSaid(address string, replies map[string]said) {
	r := p.add()
	r.Final = address
	switch {
	case p.report.Kind == KindDelay:
		r.Fate = FateDelayed
	case p.report.Kind == KindSuccess:
		r.Fate = FateDelivered
	default:
		r.Fate = FateFailed
	}
	text := replies[foldAddress(address)]
	if text.reply == "" || len(replies) < 2 {
		text = p.orAny(text)
	}
	if !strings.EqualFold(text.original, address) {
		r.Original = text.original
	}
	if text.reply == "" { // then all of it has to tell the reason
		text.reply = strings.TrimSpace(cutText(p.prose))
	}
	r.Reply.Text = text.reply
	r.RemoteMTA = hostIn(text.ahead)
	r.Reply.Command = commandIn(text.ahead)
}
