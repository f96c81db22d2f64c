package sqlitequeue_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"github.com/franqueo/franqueo/tracking"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// BenchmarkMillion measures what a campaign of a million takes: rows a second beside those that the
// bare engine inserts in the same run, bytes of disk beside the fields, memory, and
// the time to open the file again.
func BenchmarkMillion(b *testing.B) {
	const size, part = 1_000_000, 10_000
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "mail.db")
		s, err := sqlitequeue.Open(path, nil)
		require.NoError(b, err)
		var took, computed time.Duration
		var fields int
		for start := 0; start < size; start += part {
			batch := campaign(start, part)
			for i := range batch.Jobs {
				fields += len(batch.Jobs[i].Address) + len(batch.Jobs[i].Recipient)
			}
			begun, computing := time.Now(), cpu()
			_, err := s.Put(b.Context(), batch)
			require.NoError(b, err)
			took, computed = took+time.Since(begun), computed+cpu()-computing
		}
		b.ReportMetric(size/took.Seconds(), "rows/s")
		b.ReportMetric(size/computed.Seconds(), "rows/cpu-s")
		b.ReportMetric(residentMiB(b), "MiB-resident")
		require.NoError(b, s.Close())
		info, err := os.Stat(path)
		require.NoError(b, err)
		b.ReportMetric(float64(int(info.Size())-fields)/size, "B/row-beside-fields")

		begun, computing := time.Now(), cpu()
		s, err = sqlitequeue.Open(path, nil)
		require.NoError(b, err)
		leases, err := s.Claim(b.Context(), noon, noon.Add(time.Hour), []queue.FlowClaim{{Flow: flowOf(7), N: 100}})
		require.NoError(b, err)
		require.Len(b, leases, 100)
		b.ReportMetric(time.Since(begun).Seconds(), "s-open")
		b.ReportMetric((cpu() - computing).Seconds(), "cpu-s-open")
		require.NoError(b, s.Close())
		bareEngine(b, size/5, part)
	}
}

func flowOf(i int) queue.Flow {
	return queue.Flow{Lane: fmt.Sprintf("d%d.example", i%500), Campaign: "marzo"}
}

func campaign(start, n int) *queue.Batch {
	b := &queue.Batch{Hash: sha256.Sum256([]byte("Hola")), Template: []byte("Hola")}
	for i := start; i < start+n; i++ {
		flow := flowOf(i)
		b.Jobs = append(b.Jobs, queue.Job{
			ID: tracking.NewID(), Flow: flow, Address: fmt.Sprintf("recipient%d@%s", i, flow.Lane),
			Recipient: fmt.Appendf(nil, "\x01\x04name\x10Ana María Pérez\x04code\x08%08d", i), Due: noon, Expires: noon.AddDate(0, 0, 5),
		})
	}
	return b
}

// residentMiB is the most memory that the process has had, or 0 where that is not
// known.
func residentMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kB float64
	_, err = fmt.Sscan(after, &kB)
	require.NoError(b, err)
	return kB / 1024
}

// bareEngine inserts the same rows with nothing but the database, through
// database/sql.
func bareEngine(b *testing.B, size, part int) {
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "bare.db"))
	require.NoError(b, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
		CREATE TABLE job (id BLOB PRIMARY KEY, flow INTEGER, due INTEGER, address TEXT, recipient BLOB) STRICT, WITHOUT ROWID`)
	require.NoError(b, err)
	insert := "INSERT INTO job VALUES (?, ?, ?, ?, ?)" + strings.Repeat(", (?, ?, ?, ?, ?)", 99)
	var took, computed time.Duration
	for start := 0; start < size; start += part {
		batch := campaign(start, part)
		begun, computing := time.Now(), cpu()
		tx, err := db.Begin()
		require.NoError(b, err)
		st, err := tx.Prepare(insert)
		require.NoError(b, err)
		for jobs := range slices.Chunk(batch.Jobs, 100) {
			var args []any
			for i := range jobs {
				args = append(args, jobs[i].ID[:], 1, jobs[i].Due.UnixMilli(), jobs[i].Address, jobs[i].Recipient)
			}
			_, err := st.Exec(args...)
			require.NoError(b, err)
		}
		require.NoError(b, tx.Commit())
		took, computed = took+time.Since(begun), computed+cpu()-computing
	}
	b.ReportMetric(float64(size)/took.Seconds(), "bare-rows/s")
	b.ReportMetric(float64(size)/computed.Seconds(), "bare-rows/cpu-s")
}
