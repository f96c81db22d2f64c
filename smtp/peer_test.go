package smtp_test

import (
	"os"
	"testing"
)

// peer returns the value of the environment variable that names a server which
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
