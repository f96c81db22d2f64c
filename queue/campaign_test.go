package queue_test

import (
	"net/mail"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// BenchmarkCampaign queues a million recipients with two merge fields each, in one
// call, and reports rows a second, bytes a row on disk beside the fields, and the
// memory that the process has taken from the system.
func BenchmarkCampaign(b *testing.B) {
	const million = 1_000_000
	domains := []string{"correo.example", "buzon.example", "cartas.example", "posta.example", "mensajes.example"}
	var fields int64
	recipients := func(yield func(tracking.Recipient) bool) {
		for i := range million {
			r := tracking.Recipient{
				To:     mail.Address{Address: "persona" + strconv.Itoa(i) + "@" + domains[i%len(domains)]},
				Fields: map[string]string{"nombre": "Ana", "codigo": strconv.Itoa(i)},
			}
			fields += int64(len(r.To.Address) + len("nombre") + len("codigo") + len(r.Fields["nombre"]) + len(r.Fields["codigo"]))
			if !yield(r) {
				return
			}
		}
	}
	for b.Loop() {
		fields = 0
		file := filepath.Join(b.TempDir(), "mail.db")
		store, err := sqlitequeue.Open(file, nil)
		require.NoError(b, err)
		tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, nil)
		require.NoError(b, err)
		q, err := queue.New(store, smtptest.NewRecorder(), tracker, nil)
		require.NoError(b, err)
		template, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Hola {{nombre}}", Text: "Tu código es {{codigo}}."})
		require.NoError(b, err)
		started := time.Now()
		n, err := q.SendAll(b.Context(), &queue.Mailing{Template: template}, recipients)
		elapsed := time.Since(started)
		require.NoError(b, err)
		require.Equal(b, million, n)
		require.NoError(b, store.Close())
		info, err := os.Stat(file)
		require.NoError(b, err)
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		b.ReportMetric(million/elapsed.Seconds(), "rows/s")
		b.ReportMetric(float64(info.Size()-fields)/million, "disk-B/row")
		b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB-from-system")
	}
}
