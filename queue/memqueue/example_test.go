package memqueue_test

import (
	"context"
	"fmt"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
)

func ExampleNew() {
	ctx, store := context.Background(), memqueue.New(nil)
	defer store.Close()
	_ = store.Suppress(ctx, []queue.Suppression{{Address: "ana@example.com", Reason: bounce.BadMailbox}})
	found, _ := store.Suppressed(ctx, "boletín", []string{"Ana@Example.com", "bea@example.com"}, time.Now())
	fmt.Println(found[0].Reason, found[1] == nil)
	// Output: bad-mailbox true
}
