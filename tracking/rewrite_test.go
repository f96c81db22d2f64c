package tracking_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/franqueo/franqueo/tracking"
)

var attributes = []struct{ name, in, want string }{
	{"plain", "https://a.test/x?y=1", "https://a.test/x?y=1"},
	{"amp", "?a=1&amp;b=2", "?a=1&b=2"},
	{"decimal and hex", "?a=1&#38;b=2&#x26;c=3&#X26;d", "?a=1&b=2&c=3&d"},
	{"numeric without semicolon", "?a&#38b", "?a&b"},
	{"sect before letters", "?a=1&sectionid=2", "?a=1&sectionid=2"},
	{"copy before equals", "?a=1&copy=2", "?a=1&copy=2"},
	{"copy at the end", "?a=1&copy", "?a=1©"},
	{"copy before a slash", "?a=1&copy/x", "?a=1©/x"},
	{"copy with semicolon before equals", "?a&copy;=2", "?a©=2"},
	{"prefix of an unknown name", "?a&notit;", "?a&notit;"},
	{"long name", "&CounterClockwiseContourIntegral;", "∳"},
	{"two code points", "&NotEqualTilde;", "≂̸"},
	{"semicolon itself", "&semi;", ";"},
	{"bare ampersands", "&&amp&;&#;&#x;&", "&&&;&#;&#x;&"},
	{"zero", "&#0", "\ufffd"},
	{"beyond Unicode", "&#70000000000000000005P&#x110000;&#00000000038;", "\ufffdP\ufffd&"},
	{"windows-1252", "&#128;&#x80;", "€€"},
}

func TestUnescapeAttr(t *testing.T) {
	t.Parallel()
	for _, tt := range attributes {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tracking.UnescapeAttr(tt.in))
		})
	}
}

// FuzzUnescapeAttr compares with the tokenizer of x/net/html.
func FuzzUnescapeAttr(f *testing.F) {
	for _, tt := range attributes {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\"\r\x00") { // those change before they are decoded
			t.Skip()
		}
		z := html.NewTokenizer(strings.NewReader(`<a href="` + s + `">`))
		require.Equal(t, html.StartTagToken, z.Next())
		require.Equal(t, z.Token().Attr[0].Val, tracking.UnescapeAttr(s))
	})
}

var rewrites = []struct{ name, in, want string }{
	{"double quotes", `<a href="http://a.test/">x</a>`, `<a href="[http://a.test/]">x</a>`},
	{"single quotes", `<A HREF='HTTPS://a.test/'>`, `<A HREF='[HTTPS://a.test/]'>`},
	{"no quotes", `<a href=http://a.test/?a=b>x`, `<a href=[http://a.test/?a&#61;b]>x`},
	{"no quotes and a slash", `<a href=http://a.test/>x`, `<a href=[http://a.test/]>x`},
	{"spaces around", "<a\n href =\t\" http://a.test/\n \">", "<a\n href =\t\"[http://a.test/]\">"},
	{"entities", `<a href="http://a.test/?a=1&amp;b=2&sectionid=3">`, `<a href="[http://a.test/?a=1&amp;b=2&amp;sectionid=3]">`},
	{"first href counts", `<a href="http://a.test/" href="http://b.test/">`, `<a href="[http://a.test/]" href="http://b.test/">`},
	{"area", `<map><area href="http://a.test/"></map>`, `<map><area href="[http://a.test/]"></map>`},
	{"not link, base, img", `<link href="http://a.test/"><base href="http://a.test/"><img src="http://a.test/">`, ``},
	{"data-href", `<a data-href="http://a.test/" title='href="http://b.test/"'>`, ``},
	{"mailto, tel, fragment, relative", `<a href="mailto:a@a.test"><a href="tel:1"><a href="#x"><a href="/x"><a href="//a.test/"><a href=""><a href>`, ``},
	{"no host", `<a href="http://"><a href="http:///x"><a href="http://?x">`, ``},
	{"markers", `<a href="{{url}}"><a href="http://a.test/{{id}}"><a href="http://a.test/*|ID|*"><a href="http://a.test/{% x %}">`, ``},
	{"data-no-track", `<a data-no-track href="http://a.test/"><a href="http://a.test/" DATA-NO-TRACK="">`, ``},
	{"comment", `<!-- <a href="http://a.test/"> --><a href="http://b.test/">`, `<!-- <a href="http://a.test/"> --><a href="[http://b.test/]">`},
	{
		"conditional comment", `<!--[if mso]><v:roundrect href="http://a.test/"><a href="http://b.test/"><![endif]--><a href="http://c.test/">`,
		`<!--[if mso]><v:roundrect href="[http://a.test/]"><a href="[http://b.test/]"><![endif]--><a href="[http://c.test/]">`,
	},
	{
		"revealed conditional", `<!--[if !mso]><!--><a href="http://a.test/">x</a><!--<![endif]--><![if !mso]><a href="http://b.test/"><![endif]>`,
		`<!--[if !mso]><!--><a href="[http://a.test/]">x</a><!--<![endif]--><![if !mso]><a href="[http://b.test/]"><![endif]>`,
	},
	{"VML outside a comment", `<v:rect href="http://a.test/">`, ``},
	{"raw text", `<style>a{content:'<a href="http://a.test/">'}</style><title><a href="http://a.test/"></title><textarea><a href="http://a.test/"></textarea>`, ``},
	{
		"script", `<script>"<!--<script></script><a href='http://a.test/'>-->"</script><a href='http://b.test/'>`,
		`<script>"<!--<script></script><a href='http://a.test/'>-->"</script><a href='[http://b.test/]'>`,
	},
	{"noscript", `<noscript><a href="http://a.test/"></noscript>`, `<noscript><a href="[http://a.test/]"></noscript>`},
	{"quote in another attribute", `<a title="a > b" href="http://a.test/">`, `<a title="a > b" href="[http://a.test/]">`},
	{"cut off", `<a href="http://a.test/"`, ``},
	{"bad bytes", "<a href=\"http://a.test/\xff\xfe\">", "<a href=\"[http://a.test/\xff\xfe]\">"},
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	for _, tt := range rewrites {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.in
			}
			got := tracking.Rewrite([]byte("before"), []byte(tt.in), func(l tracking.Link) (string, bool) {
				return "[" + l.URL + "]", true
			})
			require.Equal(t, "before"+want, string(got))
			got = tracking.Rewrite(nil, []byte(tt.in), func(tracking.Link) (string, bool) { return "", false })
			require.Equal(t, tt.in, string(got))
		})
	}
}

// FuzzRewrite compares the links with those of the tokenizer of x/net/html, and
// what lies between them with the source.
func FuzzRewrite(f *testing.F) {
	for _, tt := range rewrites {
		f.Add([]byte(tt.in))
	}
	for _, s := range []string{"<!--[if0", "<!--><a href=http://a.test>", "<!--a--!><a href=http://a.test>", "</a href='>'><a =href=http://a.test href=http://b.test>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		if bytes.ContainsAny(source, "\x00") || bytes.Contains(source, []byte("<![CDATA[")) {
			t.Skip()
		}
		checkFidelity(t, source)
		require.Equal(t, tokenizerLinks(source), visibleLinks(source))
	})
}

// checkFidelity proves that only href values change.
func checkFidelity(t *testing.T, source []byte) {
	t.Helper()
	const mark = "(https://t.test/c/AAAA/BBBB)"
	var want []byte
	done := 0
	got := tracking.Rewrite(nil, source, func(l tracking.Link) (string, bool) {
		require.GreaterOrEqual(t, l.Offset, done, "links overlap")
		want = append(append(want, source[done:l.Offset]...), mark...)
		done = l.Offset + valueLen(source, l.Offset)
		return mark, true
	})
	require.Equal(t, string(append(want, source[done:]...)), string(got))
	same := tracking.Rewrite(nil, source, func(tracking.Link) (string, bool) { return "", false })
	require.Equal(t, string(source), string(same))
}

// valueLen is the length of the attribute value that begins at i.
func valueLen(source []byte, i int) int {
	end := " \t\r\n\f>"
	if quote := source[i-1]; quote == '"' || quote == '\'' {
		end = string(quote)
	}
	return bytes.IndexAny(source[i:], end)
}

// visibleLinks are the distinct links that Rewrite shows, but for those in
// conditional comments.
func visibleLinks(source []byte) []string {
	set := map[string]bool{}
	tracking.Rewrite(nil, source, func(l tracking.Link) (string, bool) {
		if !l.Conditional {
			set[l.URL] = true
		}
		return "", false
	})
	return sorted(set)
}

func tokenizerLinks(source []byte) []string {
	set := map[string]bool{}
	z := html.NewTokenizer(bytes.NewReader(source))
	for z.Next() != html.ErrorToken {
		token := z.Token()
		if token.DataAtom == atom.Noscript {
			z.NextIsNotRawText()
		}
		if token.Type == html.StartTagToken || token.Type == html.SelfClosingTagToken {
			collect(set, token.Data, token.Attr)
		}
	}
	return sorted(set)
}

// domLinks are the distinct links of the document tree.
func domLinks(t *testing.T, source []byte) []string {
	t.Helper()
	root, err := html.ParseWithOptions(bytes.NewReader(source), html.ParseOptionEnableScripting(false))
	require.NoError(t, err)
	set := map[string]bool{}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			collect(set, n.Data, n.Attr)
		}
	}
	return sorted(set)
}

// collect adds the destination of an element, read by rules written anew.
func collect(set map[string]bool, element string, attrs []html.Attribute) {
	if element != "a" && element != "area" {
		return
	}
	url, found := "", false
	for _, a := range attrs {
		if a.Key == "data-no-track" {
			return
		}
		if a.Key == "href" && !found {
			url, found = a.Val, true
		}
	}
	url = strings.Trim(url, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	for _, c := range []string{"\t", "\r", "\n"} {
		url = strings.ReplaceAll(url, c, "")
	}
	for _, marker := range []string{"{{", "{%", "<%", "*|", "%%", "[[", "${"} {
		if strings.Contains(url, marker) {
			return
		}
	}
	for _, scheme := range []string{"http://", "https://"} {
		if len(url) > len(scheme) && strings.EqualFold(url[:len(scheme)], scheme) && !strings.ContainsAny(url[len(scheme):len(scheme)+1], `/?#\`) {
			set[url] = true
		}
	}
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for s := range set {
		list = append(list, s)
	}
	sort.Strings(list)
	return list
}

// corpus returns the HTML files of the folder that HTML_CORPUS names.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	folder := peer(t, "HTML_CORPUS")
	files := map[string][]byte{}
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*.html"))
	require.NoError(t, err)
	for _, path := range paths {
		files[filepath.Base(path)], err = os.ReadFile(path)
		require.NoError(t, err)
	}
	require.NotEmpty(t, files, folder)
	return files
}

// peer returns the value of the environment variable that names something which
// is not part of the project, and skips the test without it.
func peer(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" && os.Getenv("FRANQUEO_CI") != "" {
		t.Fatalf("%s is not set", name)
	}
	if value == "" {
		t.Skipf("%s is not set", name)
	}
	return value
}

func TestRewriteCorpus(t *testing.T) {
	t.Parallel()
	for name, source := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			checkFidelity(t, source)
			require.Equal(t, domLinks(t, source), visibleLinks(source))
		})
	}
}

func ExampleRewrite() {
	page := `<p>Hola: <a href="https://tienda.example/?a=1&amp;b=2">ver</a> <!--[if mso]>solo Outlook<![endif]-->`
	tracked := tracking.Rewrite(nil, []byte(page), func(l tracking.Link) (string, bool) {
		return fmt.Sprintf("https://t.example/%d?u=%s", l.Index, l.URL), true
	})
	fmt.Println(string(tracked))
	// Output: <p>Hola: <a href="https://t.example/0?u=https://tienda.example/?a=1&amp;b=2">ver</a> <!--[if mso]>solo Outlook<![endif]-->
}

func ExampleUnescapeAttr() {
	fmt.Println(tracking.UnescapeAttr("?a=1&amp;b=2&sectionid=3"))
	// Output: ?a=1&b=2&sectionid=3
}

// BenchmarkRewrite holds the scanner against a parse and a rendering by
// x/net/html of the same sources.
func BenchmarkRewrite(b *testing.B) {
	sources := [][]byte{}
	for _, source := range corpus(b) {
		sources = append(sources, source)
	}
	b.Run("Rewrite", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 1<<20)
		for b.Loop() {
			for _, source := range sources {
				dst = tracking.Rewrite(dst[:0], source, func(tracking.Link) (string, bool) { return "https://t.test/c/AAAA/BBBB", true })
			}
		}
	})
	b.Run("ParseRender", func(b *testing.B) {
		b.ReportAllocs()
		var out bytes.Buffer
		for b.Loop() {
			for _, source := range sources {
				out.Reset()
				root, err := html.Parse(bytes.NewReader(source))
				require.NoError(b, err)
				for n := range root.Descendants() {
					for i, a := range n.Attr {
						if a.Key == "href" && n.DataAtom == atom.A {
							n.Attr[i].Val = "https://t.test/c/AAAA/BBBB"
						}
					}
				}
				require.NoError(b, html.Render(&out, root))
			}
		}
	})
}
