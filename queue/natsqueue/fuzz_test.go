package natsqueue // black box would not see what is stored

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// FuzzMessage: what can be read is read the same when it is written again, and can be
// applied; what cannot is ErrCorrupt.
func FuzzMessage(f *testing.F) {
	a := newAuthor(1)
	for range 50 {
		f.Add(a.message().append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMessage(data)
		if err != nil {
			require.ErrorIs(t, err, queue.ErrCorrupt)
			return
		}
		written := m.append(nil)
		again, err := decodeMessage(written)
		require.NoError(t, err)
		require.Equal(t, written, again.append(nil))
		newState().apply(m, len(data), moment{sequence: 1, time: schedule.Millis(noon), own: true})
	})
}

// FuzzState: what can be read is the same state when it is written and read again.
func FuzzState(f *testing.F) {
	a, s := newAuthor(2), newState()
	for sequence := uint64(1); sequence <= 200; sequence++ {
		a.learn(s.apply(a.message(), 100, moment{sequence: sequence, time: schedule.Millis(a.now), own: true}))
		if sequence%40 == 0 {
			f.Add(s.appendState(nil))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeState(data)
		if err != nil {
			require.ErrorIs(t, err, queue.ErrCorrupt)
			return
		}
		written := s.appendState(nil)
		again, err := decodeState(written)
		require.NoError(t, err)
		require.Equal(t, written, again.appendState(nil))
	})
}

// FuzzJob: the body of a job is read as it was written, or is ErrCorrupt.
func FuzzJob(f *testing.F) {
	full := encodeJob(&queue.Job{Recipient: []byte{1}, Stream: "boletín", Tags: []string{"a"}, Meta: map[string]string{"b": "c"}, Expires: noon}, 0)
	f.Add(full.body)
	f.Fuzz(func(t *testing.T, body []byte) {
		j := putJob{body: body}
		job, err := j.job(queue.Flow{}, queue.Hash{})
		if err != nil {
			require.ErrorIs(t, err, queue.ErrCorrupt)
			return
		}
		written := encodeJob(&job, 0)
		again, err := written.job(queue.Flow{}, queue.Hash{})
		require.NoError(t, err)
		require.Equal(t, job, again)
	})
}
