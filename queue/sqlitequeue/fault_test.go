package sqlitequeue_test

import (
	"crypto/sha256"
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/tracking"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// mail is a batch of one distinct message.
func mail(body string) *queue.Batch {
	return &queue.Batch{
		Hash: sha256.Sum256([]byte(body)), Template: []byte(body),
		Jobs: []queue.Job{{
			ID: tracking.NewID(), Flow: queue.Flow{Lane: "example.com"}, Address: "ana@example.com", Recipient: []byte(body[:8]), Due: noon,
		}},
	}
}

func randomBody(size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return string(b)
}

func put(t *testing.T, s queue.Store, b *queue.Batch) {
	t.Helper()
	_, err := s.Put(t.Context(), b)
	require.NoError(t, err)
}

func list(t *testing.T, s queue.Store) []queue.Job {
	t.Helper()
	jobs, err := s.List(t.Context(), queue.Filter{}, tracking.ID{}, 1<<30)
	require.NoError(t, err)
	return jobs
}

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mail.db")
	s := open(t, path)
	_, err := sqlitequeue.Open(path, nil)
	require.ErrorIs(t, err, queue.ErrLocked)
	require.ErrorContains(t, err, path)
	require.NoError(t, s.Close())
	require.NoError(t, open(t, path).Close())
}

func TestOpenWhatIsNoQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	foreign := filepath.Join(dir, "foreign.db")
	execute(t, foreign, "CREATE TABLE t (a); PRAGMA user_version = 1")
	later := filepath.Join(dir, "later.db")
	require.NoError(t, open(t, later).Close())
	execute(t, later, "PRAGMA user_version = 99")
	cases := map[string]string{
		"text":             write("a", "Estimada Ana:\n"),
		"long text":        write("b", randomBody(10_000)),
		"another database": foreign,
		"a later release":  later,
	}
	for name, path := range cases {
		_, err := sqlitequeue.Open(path, nil)
		require.ErrorIs(t, err, queue.ErrCorrupt, name)
	}
	_, err := sqlitequeue.Open(dir, nil)
	require.Error(t, err)
	_, err = sqlitequeue.Open(filepath.Join(dir, "none", "mail.db"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, open(t, write("empty", "")).Close())
}

// execute runs SQL on a file as another program would.
func execute(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), statements)
	require.NoError(t, err)
}

func TestLockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mail.db")
	s := open(t, path)
	defer s.Close()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	lock := func(statement string) {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}

	lock("BEGIN IMMEDIATE")
	b := mail(randomBody(100))
	_, err = s.Put(t.Context(), b)
	require.ErrorIs(t, err, queue.ErrLocked, "held for longer than we wait")
	lock("ROLLBACK")
	put(t, s, b)

	lock("BEGIN IMMEDIATE")
	stored := make(chan error)
	go func() {
		_, err := s.Put(t.Context(), mail(randomBody(100)))
		stored <- err
	}()
	require.Len(t, list(t, s), 1, "reading goes on meanwhile")
	lock("ROLLBACK")
	require.NoError(t, <-stored, "held for a moment")
	require.Len(t, list(t, s), 2)
}

// filled is a queue of messages of which some are finished, in a closed file.
func filled(t *testing.T, path string) (want map[tracking.ID]queue.Job, bodies map[queue.Hash]string) {
	t.Helper()
	s := open(t, path)
	bodies = map[queue.Hash]string{}
	for i := range 100 {
		body := randomBody(200 + 50*i)
		b := mail(body)
		bodies[b.Hash] = body
		put(t, s, b)
	}
	leases, err := s.Claim(t.Context(), noon, noon.Add(time.Hour), []queue.FlowClaim{{Flow: queue.Flow{Lane: "example.com"}, N: 30}})
	require.NoError(t, err)
	changes := make([]queue.Change, len(leases))
	for i, l := range leases {
		changes[i] = queue.Change{ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true}
	}
	_, err = s.Settle(t.Context(), changes)
	require.NoError(t, err)
	want = map[tracking.ID]queue.Job{}
	for _, j := range list(t, s) {
		want[j.ID] = j
	}
	require.NoError(t, s.Close())
	return want, bodies
}

func TestTruncatedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.db")
	filled(t, path)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, size := range []int{1, 99, 100, 5000, 8192, len(whole) / 2, len(whole) - 8192, len(whole) - 1} {
		part := filepath.Join(dir, "part.db")
		require.NoError(t, os.WriteFile(part, whole[:size], 0o600))
		_, err := sqlitequeue.Open(part, nil)
		require.ErrorIs(t, err, queue.ErrCorrupt, "%d of %d bytes", size, len(whole))
	}
}

// TestFlippedBytes damages a byte at a time: each is found when the file is opened,
// or when what it belongs to is read, and nothing is read wrong.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.db")
	want, bodies := filled(t, path)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	var found int
	const flips = 100
	for range flips {
		at := random.IntN(len(whole))
		damaged := append([]byte{}, whole...)
		damaged[at] ^= byte(1 + random.IntN(255))
		part := filepath.Join(dir, "part.db")
		require.NoError(t, os.WriteFile(part, damaged, 0o600))
		if readDamaged(t, part, want, bodies) != nil {
			found++
		}
	}
	t.Logf("%d of %d found; the rest was in unused space", found, flips)
	require.Greater(t, found, flips/3)
}

// readDamaged returns the first error, which must be named, and fails if anything is
// read wrong without one.
func readDamaged(t *testing.T, path string, want map[tracking.ID]queue.Job, bodies map[queue.Hash]string) error {
	s, err := sqlitequeue.Open(path, &sqlitequeue.Options{CheckAll: true})
	if err != nil {
		require.ErrorIs(t, err, queue.ErrCorrupt)
		return err
	}
	defer s.Close()
	jobs, err := s.List(t.Context(), queue.Filter{}, tracking.ID{}, 1<<30)
	if err != nil {
		require.ErrorIs(t, err, queue.ErrCorrupt)
		return err
	}
	require.Len(t, jobs, len(want))
	for _, got := range jobs {
		w := want[got.ID]
		w.Attempts, w.Last = got.Attempts, got.Last // for people
		if w.State > queue.Held {
			w.Due = got.Due
		}
		require.Equal(t, w, got)
		body, err := s.Template(t.Context(), got.Template)
		if err != nil {
			require.ErrorIs(t, err, queue.ErrCorrupt)
			return err
		}
		require.Equal(t, bodies[got.Template], string(body))
	}
	return nil
}

// TestDamagedJob shows that a job that cannot be read is named, and stops no other.
func TestDamagedJob(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mail.db")
	s := open(t, path)
	for range 3 {
		put(t, s, mail(randomBody(100)))
	}
	bad := list(t, s)[1].ID
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.Exec("UPDATE job SET address = 'eve@example.com' WHERE id = ?", bad[:])
	require.NoError(t, err)
	require.NoError(t, db.Close())

	s = open(t, path)
	defer s.Close()
	claim := func() ([]queue.Lease, error) {
		return s.Claim(t.Context(), noon, noon.Add(time.Hour), []queue.FlowClaim{{Flow: queue.Flow{Lane: "example.com"}, N: 10}})
	}
	_, err = claim()
	require.ErrorIs(t, err, queue.ErrCorrupt)
	require.ErrorContains(t, err, bad.String())
	leases, err := claim()
	require.NoError(t, err)
	require.Len(t, leases, 2)
}
