package tracking

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	texttemplate "text/template"
)

// Catalog makes messages of templates in a file system, an [embed.FS] or in
// development os.DirFS. The parts of a message share a name:
//
//	welcome.subject       text/template, one line
//	welcome.html          html/template
//	welcome.txt           text/template; without it the text is made from the HTML
//	welcome.es.html       the same for a locale, also welcome.es-MX.html
//	layouts/main.html     for {{template "layouts/main.html" .}}, with {{block}}s
//	partials/footer.txt   for {{template "partials/footer.txt" .}}
//
// Names can have folders. A layout or partial also can have versions for locales,
// which are used under the name without the locale.
//
// The templates are those of the standard library, so that values are escaped for
// the place where they stand; but here comments stay, with what Outlook reads in
// them, and so does every other byte of the HTML. A value that the data lacks is an
// error. {{field "name"}} leaves a merge field for [Recipient.Fields], and
// {{unsubscribe}} and {{tracking_preferences}} the fields of these names.
//
// It is safe for concurrent use.
type Catalog struct {
	fsys fs.FS
	opts CatalogOptions
	// mark encloses the names of merge fields until the end, so that no value can
	// contain one.
	mark   string
	marked *regexp.Regexp
	pages  map[string]page // by name and locale
}

// CatalogOptions tunes a [Catalog]. The zero value is ready for use.
type CatalogOptions struct {
	// Locale is used where a page has no version for what is asked for. Empty means
	// the version without a locale.
	Locale string
	// Funcs are functions for the templates.
	Funcs map[string]any
	// Finish changes the finished HTML, such as Inline of the module
	// tracking/inline. Nil leaves it.
	Finish func(html []byte) ([]byte, error)
	// Reload reads the files anew for each message, for development.
	Reload bool
}

// page is a message in one locale.
type page struct {
	subject, text *texttemplate.Template
	html          *htmltemplate.Template
}

// ErrNoPage is wrapped by the error for a name that a catalog does not have.
var ErrNoPage = errors.New("no such message")

// NewCatalog reads and parses all templates of a file system. The error joins what
// is wrong with each.
func NewCatalog(fsys fs.FS, opts *CatalogOptions) (*Catalog, error) {
	c := &Catalog{fsys: fsys, mark: "F" + rand.Text()}
	c.marked = regexp.MustCompile(c.mark + `([A-Za-z0-9_.-]*?)` + c.mark)
	if opts != nil {
		c.opts = *opts
		c.opts.Funcs = maps.Clone(opts.Funcs)
	}
	var err error
	c.pages, err = c.load()
	return c, err
}

// Execute sets the Subject, HTML and Text of m to the message of this name in the
// locale, such as "es-MX", or else the nearest: "es", the default, none.
func (c *Catalog) Execute(m *Message, name, locale string, data any) error {
	pages := c.pages
	if c.opts.Reload {
		var err error
		if pages, err = c.load(); err != nil {
			return err
		}
	}
	for _, l := range c.locales(locale) {
		if p, ok := pages[key(name, l)]; ok {
			return c.execute(m, p, name, data)
		}
	}
	return fmt.Errorf("tracking: %w: %q in the locales %q", ErrNoPage, name, c.locales(locale))
}

func key(name, locale string) string { return name + "\x00" + locale }

// locales are what to try for a locale, in order.
func (c *Catalog) locales(locale string) []string {
	var list []string
	for _, l := range []string{locale, c.opts.Locale} {
		for l != "" {
			list = append(list, l)
			l = l[:max(0, strings.LastIndexByte(l, '-'))]
		}
	}
	return append(list, "")
}

func (c *Catalog) execute(m *Message, p page, name string, data any) error {
	var subject, text, html bytes.Buffer
	err := p.subject.Execute(&subject, data)
	if p.html != nil && err == nil {
		err = p.html.Execute(&html, data)
	}
	if p.text != nil && err == nil {
		err = p.text.Execute(&text, data)
	}
	if err != nil {
		return fmt.Errorf("tracking: message %q: %w", name, err)
	}
	finished := html.Bytes()
	if c.opts.Finish != nil && p.html != nil {
		if finished, err = c.opts.Finish(finished); err != nil {
			return fmt.Errorf("tracking: message %q: %w", name, err)
		}
	}
	m.Subject = c.unmark(strings.Join(strings.Fields(subject.String()), " "), "{ ")
	m.HTML = c.unmark(strings.TrimLeft(string(finished), " \t\r\n"), "&#123;")
	m.Text = c.unmark(strings.TrimLeft(text.String(), " \t\r\n"), "{ ")
	return nil
}

// unmark makes the marked names merge fields, after what looks like one in a value
// is made none by writing its first brace otherwise.
func (c *Catalog) unmark(s, brace string) string {
	var b strings.Builder
	done := 0
	for _, f := range fieldsIn([]byte(s)) {
		b.WriteString(s[done:f.start] + brace)
		done = f.start + 1
	}
	b.WriteString(s[done:])
	return c.marked.ReplaceAllString(b.String(), "{{$1}}")
}

// funcs are the functions of the templates. keep holds the text that html/template
// must not see.
func (c *Catalog) funcs(keep *[]string) map[string]any {
	field := func(name string) (string, error) {
		if f := fieldsIn([]byte("{{" + name + "}}")); len(f) != 1 || f[0].name != name {
			return "", fmt.Errorf("%q cannot be the name of a merge field", name)
		}
		return c.mark + name + c.mark, nil
	}
	funcs := map[string]any{
		"field":          field,
		fieldUnsubscribe: func() (string, error) { return field(fieldUnsubscribe) },
		fieldPreferences: func() (string, error) { return field(fieldPreferences) },
		keepHTML:         func(i int) htmltemplate.HTML { return htmltemplate.HTML((*keep)[i]) },
		keepCSS:          func(i int) htmltemplate.CSS { return htmltemplate.CSS((*keep)[i]) },
	}
	maps.Copy(funcs, c.opts.Funcs)
	return funcs
}

// source is a template file.
type source struct {
	name, locale, kind string // "welcome", "es", ".html"
	text               string
}

var localePattern = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)

// load reads and parses the file system.
func (c *Catalog) load() (map[string]page, error) {
	shared, own, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("tracking: catalog: %w", err)
	}
	pages := map[string]page{}
	var faults []error
	for _, s := range own {
		if _, done := pages[key(s.name, s.locale)]; done {
			continue
		}
		p, err := c.parse(s.name, s.locale, shared, own)
		pages[key(s.name, s.locale)], faults = p, append(faults, err)
	}
	return pages, errors.Join(faults...)
}

// read returns the layouts and partials, and the files of the messages.
func (c *Catalog) read() (shared, own []source, err error) {
	err = fs.WalkDir(c.fsys, ".", func(file string, d fs.DirEntry, err error) error {
		kind := path.Ext(file)
		if err != nil || d.IsDir() || !slices.Contains([]string{".html", ".txt", ".subject"}, kind) {
			return err
		}
		text, err := fs.ReadFile(c.fsys, file)
		s := source{name: strings.TrimSuffix(file, kind), kind: kind, text: string(text)}
		if l := strings.TrimPrefix(path.Ext(s.name), "."); localePattern.MatchString(l) {
			s.name, s.locale = strings.TrimSuffix(s.name, "."+l), l
		}
		if strings.HasPrefix(file, "layouts/") || strings.HasPrefix(file, "partials/") {
			shared = append(shared, s)
		} else {
			own = append(own, s)
		}
		return err
	})
	return shared, own, err
}

// parse makes the page of a name and a locale.
func (c *Catalog) parse(name, locale string, shared, own []source) (p page, err error) {
	set := parser{c: c, shared: c.sharedFor(locale, shared)}
	for _, s := range own {
		if s.name != name || s.locale != locale {
			continue
		}
		switch s.kind {
		case ".html":
			p.html = set.html(s)
		case ".txt":
			p.text = set.text(s)
		case ".subject":
			p.subject = set.text(s)
		}
	}
	title := strings.TrimSuffix(name+"."+locale, ".")
	switch {
	case set.err != nil:
		return p, fmt.Errorf("tracking: catalog: %w", set.err)
	case p.subject == nil:
		return p, fmt.Errorf("tracking: catalog: %s.subject is missing", title)
	case p.html == nil && p.text == nil:
		return p, fmt.Errorf("tracking: catalog: %[1]s.html and %[1]s.txt are missing", title)
	}
	return p, nil
}

// sharedFor picks, of the versions of each layout and partial, that for a locale.
func (c *Catalog) sharedFor(locale string, shared []source) map[string]source {
	rank := c.locales(locale)
	best := map[string]source{}
	for _, s := range shared {
		file := s.name + s.kind
		known, ok := best[file]
		if i := slices.Index(rank, s.locale); i >= 0 && (!ok || i < slices.Index(rank, known.locale)) {
			best[file] = s
		}
	}
	return best
}

// parser parses the files of a page, each with the layouts and partials of its
// kind, until one fails.
type parser struct {
	c      *Catalog
	shared map[string]source
	err    error
}

func (s *parser) html(own source) *htmltemplate.Template {
	keep := new([]string)
	t := htmltemplate.New(own.name + own.kind).Funcs(s.c.funcs(keep)).Option("missingkey=error")
	for _, file := range slices.Sorted(maps.Keys(s.shared)) {
		if s.shared[file].kind == ".html" {
			_, err := t.New(file).Parse(protect(s.shared[file].text, keep))
			s.err = cmp.Or(s.err, err)
		}
	}
	_, err := t.Parse(protect(own.text, keep))
	s.err = cmp.Or(s.err, err)
	return t
}

func (s *parser) text(own source) *texttemplate.Template {
	t := texttemplate.New(own.name + own.kind).Funcs(s.c.funcs(nil)).Option("missingkey=error")
	for _, file := range slices.Sorted(maps.Keys(s.shared)) {
		if s.shared[file].kind == ".txt" {
			_, err := t.New(file).Parse(s.shared[file].text)
			s.err = cmp.Or(s.err, err)
		}
	}
	_, err := t.Parse(own.text)
	s.err = cmp.Or(s.err, err)
	return t
}

// What html/template drops or changes is taken out of its sight before it parses,
// and comes back as the value of an action: comments, of which conditional ones
// are split so that it sees the markup inside, and all that begins with "<" but is
// no tag.

const (
	keepHTML = "franqueo_keep"
	keepCSS  = "franqueo_keep_css"
)

// protect replaces what html/template must not see by actions.
func protect(text string, keep *[]string) string {
	p := protector{src: []byte(text), masked: maskActions(text), keep: keep}
	p.markup(0, len(text))
	p.copy(len(text))
	return p.out.String()
}

type protector struct {
	src, masked []byte
	keep        *[]string
	out         strings.Builder
	done        int // src[:done] is in out
}

func (p *protector) copy(to int) {
	p.out.Write(p.src[p.done:to])
	p.done = to
}

// hide puts an action in the place of src[start:end], or nothing if that has
// actions itself.
func (p *protector) hide(start, end int, action string) {
	p.copy(start)
	if p.done = end; !p.hasAction(start, end) {
		fmt.Fprintf(&p.out, "{{%s %d}}", action, len(*p.keep))
		*p.keep = append(*p.keep, string(p.src[start:end]))
	}
}

func (p *protector) hasAction(start, end int) bool {
	return !bytes.Equal(p.src[start:end], p.masked[start:end])
}

func (p *protector) markup(start, end int) {
	s := htmlScanner{src: p.masked[:end], pos: start}
	tag := start // where the last tag begins
	for t, ok := s.next(); ok; t, ok = s.next() {
		switch t.kind {
		case htmlStart:
			tag = t.start
		case htmlComment:
			p.comment(t)
		case htmlMarkup:
			if !equalFold(p.src[t.start:min(t.end, t.start+9)], "<!doctype") {
				p.hide(t.start, t.end, keepHTML)
			}
		case htmlText:
			for i := t.start; i < t.end; i++ {
				if p.masked[i] == '<' {
					p.hide(i, i+1, keepHTML)
				}
			}
		case htmlRaw:
			p.rawText(tag, t)
		}
	}
}

func (p *protector) comment(t htmlToken) {
	from, to, ok := conditional(p.masked, t)
	if !ok {
		p.hide(t.start, t.end, keepHTML)
		return
	}
	p.hide(t.start, from, keepHTML)
	p.markup(from, to)
	p.hide(to, t.end, keepHTML)
}

// rawText keeps a style, script or title as it is or, if there are actions in it,
// the comments of a style.
func (p *protector) rawText(tag int, t htmlToken) {
	if !p.hasAction(tag, t.end) {
		p.hide(tag, t.end, keepHTML)
		return
	}
	if !equalFold(t.name, "style") {
		return
	}
	for i := t.start; ; {
		n := bytes.Index(p.masked[i:t.end], []byte("/*"))
		if n < 0 {
			return
		}
		start := i + n
		n = bytes.Index(p.masked[start+2:t.end], []byte("*/"))
		if n < 0 {
			return
		}
		i = start + 2 + n + 2
		p.hide(start, i, keepCSS)
	}
}

// maskActions returns text with every action replaced by as many letters.
func maskActions(text string) []byte {
	masked := []byte(text)
	for i := 0; i < len(text); {
		n := strings.Index(text[i:], "{{")
		if n < 0 {
			break
		}
		start := i + n
		i = actionEnd(text, start+2)
		for j := start; j < i; j++ {
			masked[j] = 'x'
		}
	}
	return masked
}

// actionEnd is the offset behind the action whose text begins at i.
func actionEnd(text string, i int) int {
	if rest := strings.TrimPrefix(strings.TrimPrefix(text[i:], "-"), " "); strings.HasPrefix(rest, "/*") {
		n := strings.Index(text[i:], "*/")
		return closing(text, i+max(0, n))
	}
	for i < len(text) && !strings.HasPrefix(text[i:], "}}") {
		switch quote := text[i]; quote {
		case '"', '\'', '`':
			for i++; i < len(text) && text[i] != quote; i++ {
				if text[i] == '\\' && quote != '`' {
					i++
				}
			}
		}
		i++
	}
	return min(len(text), i+2)
}

// closing is the offset behind the next closing braces.
func closing(text string, i int) int {
	if n := strings.Index(text[i:], "}}"); n >= 0 {
		return i + n + 2
	}
	return len(text)
}
