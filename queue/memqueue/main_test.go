package memqueue_test

import (
	"testing"

	"github.com/franqueo/franqueo/queue/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
