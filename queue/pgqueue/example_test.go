package pgqueue_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net/mail"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/pgqueue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/tracking"
)

// bookshop keeps its orders in the same database as its mail.
type bookshop struct {
	pool    *pgxpool.Pool
	schema  string
	store   *pgqueue.Store
	queue   *queue.Queue
	receipt *tracking.Template
}

func openBookshop(ctx context.Context, pool *pgxpool.Pool, schema string) (*bookshop, error) {
	store, err := pgqueue.Open(ctx, pool, &pgqueue.Options{Schema: schema})
	if err != nil {
		return nil, err
	}
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, &tracking.Options{Sink: store})
	if err != nil {
		return nil, err
	}
	relay, err := smtp.NewRelay("smtp://smtp.example.com:587", nil)
	if err != nil {
		return nil, err
	}
	q, err := queue.New(store, relay, tracker, nil) // some process of the shop does: q.Run(ctx)
	if err != nil {
		return nil, err
	}
	receipt, err := tracker.Compile(&tracking.Message{
		From: mail.Address{Name: "La librería", Address: "pedidos@example.com"}, Subject: "Tu pedido de {{libro}}",
		Text: "Gracias. Te enviamos {{libro}} mañana.",
	})
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+schema+".pedidos (cliente text, libro text)")
	return &bookshop{pool, schema, store, q, receipt}, err
}

var errSoldOut = errors.New("agotado")

// order stores an order and queues its receipt, both or neither.
func (b *bookshop) order(ctx context.Context, customer, book string) error {
	return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error { return b.orderIn(ctx, tx, customer, book) })
}

func (b *bookshop) orderIn(ctx context.Context, tx pgx.Tx, customer, book string) error {
	if _, err := tx.Exec(ctx, "INSERT INTO "+b.schema+".pedidos VALUES ($1, $2)", customer, book); err != nil {
		return err
	}
	_, err := b.queue.In(b.store.Tx(tx)).Send(ctx, b.receipt, tracking.Recipient{
		To: mail.Address{Address: customer}, Fields: map[string]string{"libro": book},
	})
	if err != nil {
		return err
	}
	if book == "Rayuela" {
		return errSoldOut // which only shows now
	}
	return nil
}

// orderSQL is order on a connection of database/sql, whose driver is that of pgx.
func (b *bookshop) orderSQL(ctx context.Context, db *sql.DB, customer, book string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driver any) error {
		return pgx.BeginFunc(ctx, driver.(*stdlib.Conn).Conn(), func(tx pgx.Tx) error { return b.orderIn(ctx, tx, customer, book) })
	})
}

// A shop queues the receipt in the transaction of the order.
func ExampleStore_Tx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres:///libreria")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	shop, err := openBookshop(ctx, pool, "correo")
	if err != nil {
		log.Fatal(err)
	}
	defer shop.store.Close()
	if err := shop.order(ctx, "ana@example.net", "Ficciones"); err != nil {
		log.Fatal(err)
	}
}

// A shop that uses database/sql does so on one of its connections.
func ExampleStore_Tx_databaseSQL() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres:///libreria")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	pool, err := pgxpool.New(ctx, "postgres:///libreria")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	shop, err := openBookshop(ctx, pool, "correo")
	if err != nil {
		log.Fatal(err)
	}
	defer shop.store.Close()
	if err := shop.orderSQL(ctx, db, "ana@example.net", "Ficciones"); err != nil {
		log.Fatal(err)
	}
}

// TestBookshop runs the shop of the example.
func TestBookshop(t *testing.T) {
	t.Parallel()
	pool := newPool(t, peer(t))
	schema := newSchema(t, pool)
	shop, err := openBookshop(t.Context(), pool, schema)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, shop.store.Close()) })
	require.NoError(t, shop.order(t.Context(), "ana@example.net", "Ficciones"))
	require.ErrorIs(t, shop.order(t.Context(), "ana@example.net", "Rayuela"), errSoldOut)
	db, err := sql.Open("pgx", peer(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, shop.orderSQL(t.Context(), db, "luis@example.net", "Ficciones"))
	require.ErrorIs(t, shop.orderSQL(t.Context(), db, "luis@example.net", "Rayuela"), errSoldOut)
	stats, err := shop.queue.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, stats.ByState[queue.Ready])
	var orders int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM "+schema+".pedidos").Scan(&orders))
	require.Equal(t, 2, orders)
}
