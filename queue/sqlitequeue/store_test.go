package sqlitequeue_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/queuetest"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
)

func open(t *testing.T, path string) *sqlitequeue.Store {
	t.Helper()
	s, err := sqlitequeue.Open(path, nil)
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	queuetest.TestStore(t, func(t *testing.T) queue.Store {
		return open(t, filepath.Join(t.TempDir(), "mail.db"))
	})
}

func TestRestart(t *testing.T) {
	queuetest.TestRestart(t, func(t *testing.T) func() queue.Store {
		path := filepath.Join(t.TempDir(), "mail.db")
		return func() queue.Store { return open(t, path) }
	})
}
