package tracking_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

func TestPlainText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"paragraphs", "<p>uno\n dos</p><p>tres</p>", "uno dos\n\ntres\n"},
		{"head and style", "<html><head><title>x</title><style>p{}</style></head><body><script>x</script>y</body>", "y\n"},
		{"head without end", "<head><meta charset=utf-8><body>y", "y\n"},
		{"break and rule", "a<br>b<br/><br>c<hr>d", "a\nb\n\nc\n\n---\n\nd\n"},
		{"link", `<a href="https://a.test/?x=1&amp;y=2">ver</a>.`, "ver <https://a.test/?x=1&y=2> .\n"},
		{"link that says it", `<a href="https://a.test/">https://a.test/</a> <a href="mailto:a@a.test">a@a.test</a> <a href="#x">arriba</a>`, "https://a.test/ a@a.test arriba\n"},
		{"image in a link", `<a href="https://a.test/"><img src=x alt="Logo"></a><a href="https://a.test/"><img src=x></a>`, "Logo <https://a.test/>\n"},
		{"lists", "<ul><li>a<li>b<ol><li>c</li><li>d</li></ol></ul>e", "- a\n- b\n\n  1. c\n  2. d\n\ne\n"},
		{"table", "<table><tr><td>a</td><td>b</td></tr><tr><th>c<td>d</table>e", "a b\nc d\n\ne\n"},
		{"entities", "a&nbsp;&amp;&nbsp;b &euro;", "a & b €\n"},
		{"preheader padding", "<div>Hola&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;</div><p>x", "Hola\n\nx\n"},
		{"pre", "<pre>a  b\n c</pre>", "a  b\n c\n"},
		{"fields", `<p>{{name}} <a href="https://a.test/{{id}}">x</a>`, "{{name}} x <https://a.test/{{id}}>\n"},
		{"conditional comment", "<!--[if mso]>Outlook<![endif]-->x", "x\n"},
		{"nothing", "<img src=x>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tracking.PlainText([]byte(tt.in)))
		})
	}
}

func FuzzPlainText(f *testing.F) {
	f.Add("<p>a</p>")
	for _, tt := range rewrites {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, source string) {
		text := tracking.PlainText([]byte(source))
		require.Equal(t, strings.TrimRight(text, "\n"), strings.TrimSuffix(text, "\n"), "line ends at the end of %q", text)
		require.Less(t, len(text), 8*len(source)+8)
	})
}

func ExamplePlainText() {
	fmt.Print(tracking.PlainText([]byte(`<h1>Hola</h1><p>Gracias por tu compra. <a href="https://tienda.example/p/1">Ver el pedido</a></p>`)))
	// Output:
	// Hola
	//
	// Gracias por tu compra. Ver el pedido <https://tienda.example/p/1>
}
