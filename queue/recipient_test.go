package queue

// Inside the package: the stored form of a recipient is not seen from outside, and
// must be read for ever.

import (
	"encoding/hex"
	"net/mail"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

var encodedRecipients = []struct {
	name string
	r    tracking.Recipient
}{
	{"Bare", tracking.Recipient{Date: noon}},
	{"Fields", tracking.Recipient{
		Date: noon, To: mail.Address{Name: "Ana Núñez"}, Fields: map[string]string{"nombre": "Ana", "vacío": "", "": "x"},
	}},
	{"Policy", tracking.Recipient{Date: noon.Add(time.Millisecond), Policy: &tracking.Policy{Opens: 1, Clicks: 2}}},
	{"Old", tracking.Recipient{Date: time.Date(1969, 1, 2, 3, 4, 5, 0, time.UTC)}},
}

func TestRecipientRoundTrip(t *testing.T) {
	t.Parallel()
	for _, test := range encodedRecipients {
		t.Run(test.name, func(t *testing.T) {
			job := &Job{ID: tracking.NewID(), Address: "ana@correo.example", Key: "clave", Meta: map[string]string{"a": "b"}}
			job.Recipient = appendRecipient(nil, &test.r)
			got, err := decodeRecipient(job)
			require.NoError(t, err)
			want := test.r
			want.ID, want.Key, want.Meta, want.To.Address, want.Date = job.ID, job.Key, job.Meta, job.Address, test.r.Date.UTC()
			require.Equal(t, &want, got)
			for i := range job.Recipient { // cut short anywhere
				cut := *job
				cut.Recipient = job.Recipient[:i]
				r, err := decodeRecipient(&cut)
				if err == nil {
					require.NotNil(t, test.r.Policy, "%d of %d bytes", i, len(job.Recipient))
					require.Nil(t, r.Policy)
				} else {
					require.ErrorIs(t, err, ErrCorrupt)
				}
			}
		})
	}
}

// TestRecipientStaysReadable: what the first release stored is read for ever.
func TestRecipientStaysReadable(t *testing.T) {
	t.Parallel()
	stored, err := hex.DecodeString("01" + "80b6a2d5fc67" + "03416e61" + "01" + "066e6f6d627265" + "03416e61" + "0102")
	require.NoError(t, err)
	r, err := decodeRecipient(&Job{Recipient: stored})
	require.NoError(t, err)
	require.Equal(t, "Ana", r.To.Name)
	require.Equal(t, map[string]string{"nombre": "Ana"}, r.Fields)
	require.Equal(t, &tracking.Policy{Opens: 1, Clicks: 2}, r.Policy)
	require.Equal(t, stored, appendRecipient(nil, r))
}

func TestRecipientOfALaterRelease(t *testing.T) {
	t.Parallel()
	job := &Job{ID: tracking.NewID(), Recipient: []byte{2, 0, 0, 0}}
	_, err := decodeRecipient(job)
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, job.ID.String())
	require.ErrorContains(t, err, "version 2, this release reads 1")
}

// FuzzDecodeRecipient: any bytes are read or refused, and what was read is stored
// and read again as the same.
func FuzzDecodeRecipient(f *testing.F) {
	for _, test := range encodedRecipients {
		f.Add(appendRecipient(nil, &test.r))
	}
	f.Add([]byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, stored []byte) {
		r, err := decodeRecipient(&Job{Recipient: stored})
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		again, err := decodeRecipient(&Job{Recipient: appendRecipient(nil, r)})
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
