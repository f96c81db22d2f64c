package tracking

import (
	"bytes"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// PlainText makes a plain text of HTML, for people and programs that do not show
// that: paragraphs, headings, list items and table rows become lines, images
// their alternative text, and links are followed by their destination in angle
// brackets. Template markers stay as they are.
func PlainText(page []byte) string {
	w := textWriter{}
	z := html.NewTokenizer(bytes.NewReader(page))
	for z.Next() != html.ErrorToken {
		token := z.Token()
		if token.DataAtom == atom.Noscript {
			z.NextIsNotRawText()
		}
		w.token(token)
	}
	return w.finish()
}

// textWriter turns tokens to text.
type textWriter struct {
	out    strings.Builder
	breaks int  // line ends that are due before the next word
	blank  bool // a blank is due before the next word
	some   bool // out is not empty

	hidden int // depth of elements that are not shown
	pre    int // depth of pre
	lists  []int
	href   string
	link   strings.Builder // the text of the open link
}

// hiddenElements hold nothing to read.
var hiddenElements = map[atom.Atom]bool{
	atom.Style: true, atom.Script: true, atom.Title: true, atom.Head: true, atom.Template: true, atom.Textarea: true, atom.Select: true,
}

// blockBreaks are the line ends around block elements.
var blockBreaks = map[atom.Atom]int{
	atom.P: 2, atom.H1: 2, atom.H2: 2, atom.H3: 2, atom.H4: 2, atom.H5: 2, atom.H6: 2, atom.Ul: 2, atom.Ol: 2, atom.Blockquote: 2,
	atom.Pre: 2, atom.Table: 2, atom.Dl: 2, atom.Hr: 2, atom.Div: 1, atom.Tr: 1, atom.Li: 1, atom.Dt: 1, atom.Dd: 1, atom.Center: 1,
	atom.Section: 1, atom.Header: 1, atom.Footer: 1, atom.Article: 1, atom.Address: 1, atom.Figure: 1, atom.Caption: 1,
}

func (w *textWriter) token(t html.Token) {
	switch {
	case t.Type == html.EndTagToken && t.DataAtom == atom.Body:
		w.hidden = 0
	case t.Type == html.StartTagToken && t.DataAtom == atom.Body:
		w.hidden = 0 // also without </head>
	case hiddenElements[t.DataAtom]:
		w.hide(t.Type)
	case w.hidden > 0:
	case t.Type == html.TextToken:
		w.text(t.Data)
	case t.Type == html.EndTagToken:
		w.end(t.DataAtom)
	case t.Type == html.StartTagToken, t.Type == html.SelfClosingTagToken:
		w.start(t)
	}
}

func (w *textWriter) hide(kind html.TokenType) {
	switch {
	case kind == html.StartTagToken:
		w.hidden++
	case kind == html.EndTagToken && w.hidden > 0:
		w.hidden--
	}
}

func (w *textWriter) start(t html.Token) {
	w.due(blockBreaks[t.DataAtom])
	switch t.DataAtom {
	case atom.Br:
		w.breaks++
	case atom.Hr:
		w.word("---")
		w.due(2)
	case atom.Td, atom.Th:
		w.blank = true
	case atom.Pre:
		w.pre++
	case atom.Ul:
		w.lists = append(w.lists, -1)
	case atom.Ol:
		w.lists = append(w.lists, 0)
	case atom.Li:
		w.item()
	case atom.Img:
		w.text(attribute(t, "alt"))
	case atom.A:
		w.closeLink()
		w.href = cleanURL(attribute(t, "href"))
	}
}

func (w *textWriter) end(element atom.Atom) {
	switch element {
	case atom.A:
		w.closeLink()
	case atom.Pre:
		w.pre = max(0, w.pre-1)
	case atom.Ul, atom.Ol:
		if len(w.lists) > 0 {
			w.lists = w.lists[:len(w.lists)-1]
		}
	}
	w.due(blockBreaks[element])
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// due asks for at least n line ends before the next word.
func (w *textWriter) due(n int) { w.breaks = max(w.breaks, n) }

// item begins a list item with its bullet or number.
func (w *textWriter) item() {
	bullet := "-"
	depth := len(w.lists)
	if depth > 0 && w.lists[depth-1] >= 0 {
		w.lists[depth-1]++
		bullet = strconv.Itoa(w.lists[depth-1]) + "."
	}
	w.word(strings.Repeat("  ", max(0, depth-1)) + bullet)
	w.blank = true
}

func (w *textWriter) text(s string) {
	if w.pre > 0 {
		for i, line := range strings.Split(s, "\n") {
			if i > 0 {
				w.breaks++
			}
			if line != "" {
				w.word(line)
			}
		}
		return
	}
	if s != "" && isTextSpace(rune(s[0])) {
		w.blank = true
	}
	for i, word := range strings.FieldsFunc(s, isTextSpace) {
		w.blank = w.blank || i > 0
		if word = strings.TrimFunc(word, isInvisible); word != "" {
			w.word(word)
		}
	}
	if n := len(s); n > 0 && isTextSpace(rune(s[n-1])) {
		w.blank = true
	}
}

func isTextSpace(r rune) bool { return r <= ' ' || r == '\u00a0' }

// isInvisible tells characters that preheaders are padded with.
func isInvisible(r rune) bool {
	return r == '\u034f' || r == '\u00ad' || r >= '\u200b' && r <= '\u200f' || r == '\ufeff' || r == '\u2007'
}

// word writes s after the line ends or the blank that are due.
func (w *textWriter) word(s string) {
	switch {
	case !w.some:
	case w.breaks > 0:
		w.out.WriteString(strings.Repeat("\n", min(2, w.breaks)))
	case w.blank:
		w.out.WriteByte(' ')
	}
	w.breaks, w.blank, w.some = 0, false, true
	w.out.WriteString(s)
	if w.href != "" {
		w.link.WriteString(s)
	}
}

// closeLink writes the destination behind the text of a link, unless that says it.
func (w *textWriter) closeLink() {
	href := w.href
	text := w.link.String()
	w.href = ""
	w.link.Reset()
	address := strings.TrimPrefix(href, "mailto:")
	if href == "" || text == "" || strings.HasPrefix(href, "#") || text == href || text == address {
		return
	}
	w.blank = true
	w.word("<" + href + ">")
	w.blank = true
}

func (w *textWriter) finish() string {
	w.closeLink()
	if !w.some {
		return ""
	}
	return w.out.String() + "\n"
}
