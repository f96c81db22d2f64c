package tracking_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

func execute(t *testing.T, c *tracking.Catalog, name, locale string, data any) *tracking.Message {
	t.Helper()
	m := &tracking.Message{}
	require.NoError(t, c.Execute(m, name, locale, data))
	return m
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	c, err := tracking.NewCatalog(files(
		"layouts/main.html", `<!DOCTYPE html><html><body><!--[if mso]><table width="{{.Width}}"><![endif]-->{{block "content" .}}{{end}}<!--[if mso]></table><![endif]-->{{template "partials/footer.html" .}}</body></html>`,
		"partials/footer.html", `<p>Bye</p>`,
		"partials/footer.es.html", `<p>Adiós</p>`,
		"partials/footer.txt", `-- {{.Name}}`,
		"welcome.subject", "Welcome\n{{.Name}}\n", "welcome.html", `{{define "content"}}<b title="{{.Name}}">{{.Name}}</b>{{end}}{{template "layouts/main.html" .}}`,
		"welcome.txt", "Hello {{.Name}}\n{{template \"partials/footer.txt\" .}}\n",
		"welcome.es.subject", `Hola {{.Name}}`, "welcome.es.html", `{{define "content"}}<a href="{{unsubscribe}}">{{field "first.name"}}</a>{{end}}{{template "layouts/main.html" .}}`,
		"orders/sent.es-MX.subject", "Enviado", "orders/sent.es-MX.txt", "Ya",
		"README.md", "{{",
	), &tracking.CatalogOptions{})
	require.NoError(t, err)
	data := map[string]any{"Name": `<"Ana"> {{unsubscribe}}`, "Width": 600}

	m := execute(t, c, "welcome", "fr-CA", data)
	require.Equal(t, `Welcome <"Ana"> { {unsubscribe}}`, m.Subject)
	require.Equal(t, `<!DOCTYPE html><html><body><!--[if mso]><table width="600"><![endif]--><b title="&lt;&#34;Ana&#34;&gt; &#123;{unsubscribe}}">&lt;&#34;Ana&#34;&gt; &#123;{unsubscribe}}</b><!--[if mso]></table><![endif]--><p>Bye</p></body></html>`, m.HTML)
	require.Equal(t, "Hello <\"Ana\"> { {unsubscribe}}\n-- <\"Ana\"> { {unsubscribe}}\n", m.Text)

	m = execute(t, c, "welcome", "es-AR", data)
	require.Contains(t, m.HTML, `<a href="{{unsubscribe}}">{{first.name}}</a>`)
	require.Contains(t, m.HTML, `<p>Adiós</p>`)
	require.Empty(t, m.Text)

	require.Equal(t, "Ya", execute(t, c, "orders/sent", "es-MX", nil).Text)
	require.ErrorIs(t, c.Execute(m, "orders/sent", "es", nil), tracking.ErrNoPage)
	require.ErrorIs(t, c.Execute(m, "nada", "es", nil), tracking.ErrNoPage)
	require.ErrorContains(t, c.Execute(m, "welcome", "", map[string]any{"Name": "x"}), "Width")
	require.ErrorContains(t, c.Execute(m, "welcome", "", struct{ Name string }{"x"}), "Width")
}

func TestCatalogFaults(t *testing.T) {
	t.Parallel()
	_, err := tracking.NewCatalog(files("a.html", "x", "b.subject", "x", "c.es.subject", "{{", "c.es.txt", "x"), nil)
	for _, want := range []string{"a.subject is missing", "b.html and b.txt are missing", "c.subject:1: unclosed action"} {
		require.ErrorContains(t, err, want)
	}
}

func TestCatalogReload(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	write("a.subject", "uno")
	write("a.txt", "uno")
	c, err := tracking.NewCatalog(os.DirFS(folder), &tracking.CatalogOptions{Reload: true})
	require.NoError(t, err)
	require.Equal(t, "uno", execute(t, c, "a", "", nil).Subject)
	write("a.subject", "dos")
	require.Equal(t, "dos", execute(t, c, "a", "", nil).Subject)
}

func TestCatalogKeepsBytes(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"<!-- plain --><p>a < b <3 </p>",
		"<!--[if gte mso 9]><xml><o:OfficeDocumentSettings><o:AllowPNG/></o:OfficeDocumentSettings></xml><![endif]-->",
		"<!--[if !mso]><!--><a href='x'>y</a><!--<![endif]--><![if !mso]>z<![endif]><?xml version='1.0'?>",
		"<style>/* Outlook */ a{color:red} <!-- b{} --> /*x*/ @media screen{a:hover{color:blue!important}}</style>",
		"<script>// a\n/* b */ var x = '<!-- ' </script><title>a < b</title><p style=\"color:red;/* x */mso-line-height-rule:exactly\">",
	} {
		c, err := tracking.NewCatalog(files("a.subject", "x", "a.html", source), nil)
		require.NoError(t, err)
		require.Equal(t, source, execute(t, c, "a", "", nil).HTML)
	}
}

func TestCatalogStyle(t *testing.T) {
	t.Parallel()
	c, err := tracking.NewCatalog(files("a.subject", "x", "a.html", "<style>/* <!-- */ a{color:{{.}}} /*b*/</style><!-- {{.}} -->"), nil)
	require.NoError(t, err)
	require.Equal(t, "<style>/* <!-- */ a{color:red} /*b*/</style>", execute(t, c, "a", "", "red").HTML)
	require.Equal(t, "<style>/* <!-- */ a{color:ZgotmplZ} /*b*/</style>", execute(t, c, "a", "", "red}b{").HTML)
}

func TestCatalogCorpus(t *testing.T) {
	t.Parallel()
	for name, source := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			source = bytes.TrimLeft(bytes.ReplaceAll(source, []byte("{{"), []byte("((")), " \r\n\t")
			c, err := tracking.NewCatalog(files("a.subject", "x", "a.html", string(source)), nil)
			require.NoError(t, err)
			require.Equal(t, string(source), execute(t, c, "a", "", nil).HTML)
		})
	}
}

func ExampleCatalog() {
	catalog, err := tracking.NewCatalog(files( // an embed.FS, or os.DirFS
		"pedido.es.subject", `Tu pedido {{.Number}}`,
		"pedido.es.html", `<!--[if mso]><p>Outlook</p><![endif]--><p>Gracias, {{.Name}}</p>`,
	), &tracking.CatalogOptions{Locale: "es"})
	if err != nil {
		panic(err)
	}
	var m tracking.Message
	if err := catalog.Execute(&m, "pedido", "ca", map[string]any{"Name": "Ana & Cía", "Number": 7}); err != nil {
		panic(err)
	}
	fmt.Println(m.Subject)
	fmt.Println(strings.TrimSpace(m.HTML))
	// Output:
	// Tu pedido 7
	// <!--[if mso]><p>Outlook</p><![endif]--><p>Gracias, Ana &amp; Cía</p>
}
