package queue_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/franqueo/franqueo/"

// mayImport lists, for each package at the top of the house, the others of ours
// that it may import. Tests and examples may import everything.
var mayImport = map[string][]string{
	"smtp":     {},
	"bounce":   {},
	"tracking": {"bounce"},
	"queue":    {"tracking", "smtp", "bounce"},
}

// testOnly are the packages that only tests and examples may import.
var testOnly = []string{"smtp/smtptest", "queue/queuetest", "queue/internal/workertest", "queue/natsqueue/internal/natstest"}

func TestImportsRunOneWay(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		rel := filepath.ToSlash(strings.TrimPrefix(file, ".."+string(filepath.Separator)))
		room, _, nested := strings.Cut(rel, "/")
		allowed, ours := mayImport[room]
		if err != nil || entry.IsDir() || !nested || !ours || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		seen[room] = true
		for _, imported := range importsOf(t, file) {
			other, _, _ := strings.Cut(imported, "/")
			require.True(t, other == room || slices.Contains(allowed, other), "%s imports %s", rel, imported)
			require.False(t, slices.Contains(testOnly, imported) && !slices.Contains(testOnly, path.Dir(rel)), "%s imports %s, which is for tests", rel, imported)
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, seen, len(mayImport), "a package has moved: %v", seen)
}

// importsOf lists the packages of this module that a file imports, without the
// module's path.
func importsOf(t *testing.T, file string) (ours []string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	require.NoError(t, err)
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if rest, ok := strings.CutPrefix(imported, module); ok {
			ours = append(ours, rest)
		}
	}
	return ours
}
