package sqlitequeue_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/queuetest"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
)

func BenchmarkStore(b *testing.B) {
	queuetest.BenchmarkStore(b, func(b *testing.B) queue.Store {
		s, err := sqlitequeue.Open(filepath.Join(b.TempDir(), "mail.db"), nil)
		require.NoError(b, err)
		return s
	})
}
