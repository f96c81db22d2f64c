package natsqueue // black box would not see what is stored

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// FuzzMessage: what can be read is read the same when it is written again, job by job
// too, and can be applied; what cannot is ErrCorrupt.
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
		if m.line == puts {
			jobByJob(t, m, written)
		}
		newState().apply(m, len(data), moment{sequence: 1, time: schedule.Millis(noon), own: true})
	})
}

// jobByJob reads a message of puts as a claim does.
func jobByJob(t *testing.T, m *message, data []byte) {
	outlines, err := decodeOutlines(data)
	for i, c := range m.commands {
		whole, ok := c.(*piece)
		if !ok {
			require.ErrorIs(t, err, queue.ErrCorrupt)
			return
		}
		part := &outlines[i]
		require.Equal(t, len(whole.jobs), part.count)
		require.Equal(t, whole.hash, part.hash)
		require.Equal(t, whole.chunk, part.chunk)
		for j := range whole.jobs {
			job, err := part.job(j)
			require.NoError(t, err)
			require.Equal(t, whole.jobs[j], job)
		}
	}
	require.NoError(t, err)
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
