package inline_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/franqueo/franqueo/tracking/inline"
)

var pages = []struct{ name, in, want string }{
	{"no style", `<P Class=x>a < b`, ``},
	{"element", `<style>p{color:red}</style><p>x`, `<style>p{color:red}</style><p style="color:red">x`},
	{"list of selectors", `<style>h1, p.a , #b{margin:0 auto}</style><h1>x</h1><p class="a">y<i id=b>z`, `<style>h1, p.a , #b{margin:0 auto}</style><h1 style="margin:0 auto">x</h1><p style="margin:0 auto" class="a">y<i style="margin:0 auto" id=b>z`},
	{"list in parentheses", `<style>p:not(.a,.b),i::before{margin:0}</style><p class="a"><p>`, `<style>p:not(.a,.b),i::before{margin:0}</style><p class="a"><p style="margin:0">`},
	{"own style wins", `<style>p{color:red;margin:0}</style><p class=x style='color: "a"; '>`, `<style>p{color:red;margin:0}</style><p class=x style="color:red;margin:0;color: &quot;a&quot;">`},
	{"own style without quotes", `<style>p{margin:0}</style><p style=color:blue>`, `<style>p{margin:0}</style><p style="margin:0;color:blue">`},
	{"important", `<style>p{color:red!important;margin:0}</style><p style="color:blue">`, `<style>p{color:red!important;margin:0}</style><p style="margin:0;color:blue;color:red">`},
	{"specificity", `<style>#a{color:red}p.b{color:green}p{color:blue;margin:1px}</style><p id=a class=b>`, `<style>#a{color:red}p.b{color:green}p{color:blue;margin:1px}</style><p style="margin:1px;color:red" id=a class=b>`},
	{"order of shorthands", `<style>p{margin:0}p{margin-top:1px}</style><p>`, `<style>p{margin:0}p{margin-top:1px}</style><p style="margin:0;margin-top:1px">`},
	{"fallback values", `<style>p{background:red;background:linear-gradient(red,blue)}</style><p>`, `<style>p{background:red;background:linear-gradient(red,blue)}</style><p style="background:red;background:linear-gradient(red,blue)">`},
	{"media, hover, font-face, pseudo-elements", `<style>@media (max-width:600px){p{color:red!important}}a:hover{color:red}p::before{content:"x"}@font-face{font-family:x}</style><p><a href=x>y`, ``},
	{"all elements", `<style>*{margin:0}</style><p>`, ``},
	{"print", `<style media=print>p{color:red}</style><style data-no-inline>p{color:red}</style><p>`, ``},
	{"conditional comment", `<style>p{color:red}</style><!--[if mso]><style>p{color:blue}</style><p>x</p><![endif]--><p>`, `<style>p{color:red}</style><!--[if mso]><style>p{color:blue}</style><p>x</p><![endif]--><p style="color:red">`},
	{"child and attribute", `<style>td > a[href^="http"]{color:red}</style><table><tr><td><a href="http://a.test">x</a><b><a href="/">`, `<style>td > a[href^="http"]{color:red}</style><table><tr><td><a style="color:red" href="http://a.test">x</a><b><a href="/">`},
	{"comment and broken rule", `<style>/* p{color:red} */ p{color:;margin:0} } i{color:red}</style><p>`, `<style>/* p{color:red} */ p{color:;margin:0} } i{color:red}</style><p style="margin:0">`},
	{"self-closing", `<style>img{border:0}</style><img src=x/><br/>`, `<style>img{border:0}</style><img style="border:0" src=x/><br/>`},
}

func TestCSS(t *testing.T) {
	t.Parallel()
	for _, tt := range pages {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.in
			}
			got, err := inline.CSS([]byte(tt.in))
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		})
	}
}

var styleAttr = regexp.MustCompile(`(?is)\s*\bstyle\s*=\s*("[^"]*"|'[^']*'|[^\s>"']+)`)

// checkKept proves that only style attributes changed: without them, the tokens
// are the same bytes.
func checkKept(t *testing.T, before, after []byte) {
	t.Helper()
	require.Equal(t, withoutStyles(before), withoutStyles(after))
}

func withoutStyles(page []byte) string {
	var b strings.Builder
	z := html.NewTokenizer(bytes.NewReader(page))
	for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
		raw := z.Raw()
		if kind == html.StartTagToken || kind == html.SelfClosingTagToken {
			raw = styleAttr.ReplaceAll(raw, nil)
		}
		b.Write(raw)
	}
	return b.String()
}

// TestCSSCorpus inlines the files of the folder that HTML_CORPUS names.
func TestCSSCorpus(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("HTML_CORPUS")
	if folder == "" && os.Getenv("FRANQUEO_CI") != "" {
		t.Fatal("HTML_CORPUS is not set")
	}
	if folder == "" {
		t.Skip("HTML_CORPUS is not set")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*.html"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			page, err := os.ReadFile(path)
			require.NoError(t, err)
			got, err := inline.CSS(page)
			require.NoError(t, err)
			checkKept(t, page, got)
		})
	}
}

func FuzzCSS(f *testing.F) {
	for _, tt := range pages {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		got, err := inline.CSS(page)
		require.NoError(t, err)
		checkKept(t, page, got)
		if !bytes.Contains(bytes.ToLower(page), []byte("style")) {
			require.Equal(t, string(page), string(got))
		}
	})
}

func ExampleCSS() {
	page, err := inline.CSS([]byte(`<style>a{color:#05a} a:hover{color:red}</style><!--[if mso]>x<![endif]--><a href="/">ver</a>`))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(page))
	// Output: <style>a{color:#05a} a:hover{color:red}</style><!--[if mso]>x<![endif]--><a style="color:#05a" href="/">ver</a>
}
