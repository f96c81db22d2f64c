// Package inline copies the rules of style sheets into the style attributes of the
// elements that they select, for mail clients that read no style sheets.
//
// It is a module of its own, so that programs which do not need it do not link a
// CSS parser. Use it before compiling a message, or as
// tracking.CatalogOptions.Finish.
package inline

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/andybalholm/cascadia"
	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/css"
	"golang.org/x/net/html"
)

// CSS returns page with the declarations of its style elements in style
// attributes. Every other byte is kept: also the style elements, since media
// queries, :hover and their like cannot be inlined, as well as comments and what
// Outlook reads in them.
//
// What an element's own style attribute says wins over rules that are not
// !important. A declaration that is !important in a rule is inlined without the
// word, so that an !important one in a media query still wins over it. Rules for
// all elements (*), style elements for media other than all and screen, and those
// with the attribute data-no-inline are left out.
func CSS(page []byte) ([]byte, error) {
	tags := startTags(page)
	root, err := html.ParseWithOptions(bytes.NewReader(numbered(page, tags)), html.ParseOptionEnableScripting(false))
	if err != nil {
		return nil, fmt.Errorf("inline: %w", err)
	}
	rules := rulesOf(root)
	if len(rules) == 0 {
		return page, nil
	}
	styles := make([]string, len(tags))
	for n := range root.Descendants() {
		if i, ok := number(n); ok && styles[i] == "" && inBody(n) {
			styles[i] = styleOf(n, rules)
		}
	}
	return spliced(page, tags, styles), nil
}

// tag is a start tag at page[start:end], whose name ends at name.
type tag struct{ start, name, end int }

// startTags are the start tags outside of comments and of raw text.
func startTags(page []byte) []tag {
	var tags []tag
	at := 0
	z := html.NewTokenizer(bytes.NewReader(page))
	for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
		end := at + len(z.Raw())
		if kind == html.StartTagToken || kind == html.SelfClosingTagToken {
			name := at + bytes.IndexAny(page[at:end], " \t\r\n\f/>")
			tags = append(tags, tag{at, name, end})
			if bytes.EqualFold(page[at+1:name], []byte("noscript")) {
				z.NextIsNotRawText()
			}
		}
		at = end
	}
	return tags
}

// numberAttr ties the elements of the tree to the tags of the source.
const numberAttr = "data-franqueo-tag"

func numbered(page []byte, tags []tag) []byte {
	var b bytes.Buffer
	done := 0
	for i, t := range tags {
		b.Write(page[done:t.name])
		fmt.Fprintf(&b, " %s=%d ", numberAttr, i)
		done = t.name
	}
	b.Write(page[done:])
	return b.Bytes()
}

func number(n *html.Node) (int, bool) {
	if n.Type != html.ElementNode {
		return 0, false
	}
	i, err := strconv.Atoi(attribute(n, numberAttr))
	return i, err == nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func inBody(n *html.Node) bool {
	for ; n != nil; n = n.Parent {
		if n.Data == "body" {
			return true
		}
	}
	return false
}

// rule is one selector and its declarations.
type rule struct {
	selector     cascadia.Sel
	declarations []declaration
}

type declaration struct {
	property, value string
	important       bool
}

// rulesOf reads the style elements.
func rulesOf(root *html.Node) []rule {
	var rules []rule
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "style" || n.FirstChild == nil || !applies(n) {
			continue
		}
		rules = append(rules, parseSheet(n.FirstChild.Data)...)
	}
	return rules
}

func applies(style *html.Node) bool {
	if slices.ContainsFunc(style.Attr, func(a html.Attribute) bool { return a.Key == "data-no-inline" }) {
		return false
	}
	media := strings.ToLower(strings.TrimSpace(attribute(style, "media")))
	return media == "" || media == "all" || media == "screen"
}

// parseSheet reads the rules of a style sheet that are not in an at-rule.
func parseSheet(sheet string) []rule {
	var rules []rule
	var selectors []string
	var declarations []declaration
	depth := 0
	p := css.NewParser(parse.NewInputString(sheet), false)
	for {
		grammar, _, data := p.Next()
		switch grammar {
		case css.ErrorGrammar:
			if !p.HasParseError() {
				return rules
			}
		case css.BeginAtRuleGrammar:
			depth++
		case css.EndAtRuleGrammar:
			depth--
		case css.QualifiedRuleGrammar, css.BeginRulesetGrammar:
			selectors = append(selectors, selectorList(p.Values())...)
		case css.DeclarationGrammar:
			declarations = append(declarations, newDeclaration(string(data), join(p.Values())))
		case css.EndRulesetGrammar:
			if depth == 0 {
				rules = append(rules, compile(selectors, declarations)...)
			}
			selectors, declarations = nil, nil
		}
	}
}

// selectorList splits the prelude of a rule at the commas that are in no
// parentheses.
func selectorList(tokens []css.Token) []string {
	var list []string
	start, depth := 0, 0
	for i, t := range tokens {
		switch t.TokenType {
		case css.FunctionToken, css.LeftParenthesisToken:
			depth++
		case css.RightParenthesisToken:
			depth--
		case css.CommaToken:
			if depth == 0 {
				list = append(list, join(tokens[start:i]))
				start = i + 1
			}
		}
	}
	return append(list, join(tokens[start:]))
}

func join(tokens []css.Token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.Write(t.Data)
	}
	return strings.TrimSpace(b.String())
}

func newDeclaration(property, value string) declaration {
	d := declaration{property: strings.ToLower(property), value: value}
	if i := strings.LastIndexByte(value, '!'); i >= 0 && strings.EqualFold(strings.TrimSpace(value[i+1:]), "important") {
		d.value, d.important = strings.TrimSpace(value[:i]), true
	}
	return d
}

// compile makes a rule of each selector that can be inlined.
func compile(selectors []string, declarations []declaration) []rule {
	var rules []rule
	for _, s := range selectors {
		selector, err := cascadia.Parse(s)
		if err != nil || selector.Specificity() == (cascadia.Specificity{}) {
			continue // pseudo-elements and unknown syntax, and rules for everything
		}
		rules = append(rules, rule{selector, declarations})
	}
	return rules
}

// styleOf is the value of the style attribute of n, or empty if no rule is for it.
func styleOf(n *html.Node, rules []rule) string {
	matching := slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return !r.selector.Match(n) })
	if len(matching) == 0 {
		return ""
	}
	slices.SortStableFunc(matching, func(x, y rule) int {
		return slices.Compare(specificity(x), specificity(y))
	})
	plain := cascade(matching, false)
	own := strings.TrimSuffix(strings.TrimSpace(attribute(n, "style")), ";")
	important := cascade(matching, true)
	return strings.Join(slices.DeleteFunc([]string{plain, own, important}, func(s string) bool { return s == "" }), ";")
}

func specificity(r rule) []int {
	s := r.selector.Specificity()
	return s[:]
}

// cascade lists the declarations of the rules, which are in ascending order,
// without those of a property that a later rule sets again.
func cascade(rules []rule, important bool) string {
	var list []string
	for i, r := range rules {
		for _, d := range r.declarations {
			if d.important == important && d.value != "" && !setIn(rules[i+1:], d) {
				list = append(list, d.property+":"+d.value)
			}
		}
	}
	return strings.Join(list, ";")
}

func setIn(rules []rule, d declaration) bool {
	return slices.ContainsFunc(rules, func(r rule) bool {
		return slices.ContainsFunc(r.declarations, func(o declaration) bool {
			return o.property == d.property && o.important == d.important
		})
	})
}

// spliced is page with the style attributes of its tags set.
func spliced(page []byte, tags []tag, styles []string) []byte {
	out := make([]byte, 0, len(page)+len(page)/2)
	done := 0
	for i, t := range tags {
		if styles[i] == "" {
			continue
		}
		start, end := styleAttr(page, t)
		out = append(out, page[done:start]...)
		if start == t.name {
			out = append(out, ' ')
		}
		out = append(out, `style="`+strings.NewReplacer("&", "&amp;", `"`, "&quot;").Replace(styles[i])+`"`...)
		done = cmp.Or(end, start)
	}
	return append(out, page[done:]...)
}

// styleAttr finds the style attribute of a tag, from its name to its end; if there
// is none, both are where the name of the tag ends.
func styleAttr(page []byte, t tag) (start, end int) {
	i := t.name
	for i < t.end {
		for i < t.end && (isSpace(page[i]) || page[i] == '/') {
			i++
		}
		start = i
		for i++; i < t.end && !isSpace(page[i]) && page[i] != '/' && page[i] != '>' && page[i] != '='; i++ {
		}
		name := page[min(start, t.end):min(i, t.end)]
		if j := skipSpace(page, i, t.end); j < t.end && page[j] == '=' {
			i = valueEnd(page, skipSpace(page, j+1, t.end), t.end)
		}
		if bytes.EqualFold(name, []byte("style")) {
			return start, i
		}
	}
	return t.name, t.name
}

func valueEnd(page []byte, i, end int) int {
	if i < end && (page[i] == '"' || page[i] == '\'') {
		if n := bytes.IndexByte(page[i+1:end], page[i]); n >= 0 {
			return i + 1 + n + 1
		}
	}
	for i < end && !isSpace(page[i]) && page[i] != '>' {
		i++
	}
	return i
}

func skipSpace(page []byte, i, end int) int {
	for i < end && isSpace(page[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' }
