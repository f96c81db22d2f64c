// Package pgtest tests what tracking does with PostgreSQL. It is a module of its own
// so that no user of the library gets the driver.
package pgtest

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
	"github.com/franqueo/franqueo/tracking/internal/journaltest"
)

// TestJournal runs where FRANQUEO_POSTGRES is the URL of a database in which the user
// may make schemas.
func TestJournal(t *testing.T) {
	address := os.Getenv("FRANQUEO_POSTGRES")
	if address == "" && os.Getenv("FRANQUEO_CI") != "" {
		t.Fatal("FRANQUEO_POSTGRES is not set")
	}
	if address == "" {
		t.Skip("FRANQUEO_POSTGRES is not set")
	}
	journaltest.Test(t, func(t *testing.T) *journaltest.Database {
		schema := fmt.Sprintf("journal_%x", tracking.NewID())
		exec(t, address, "CREATE SCHEMA "+schema)
		t.Cleanup(func() { exec(t, address, "DROP SCHEMA "+schema+" CASCADE") })
		u, err := url.Parse(address)
		require.NoError(t, err)
		query := u.Query()
		query.Set("search_path", schema)
		u.RawQuery = query.Encode()
		db, err := sql.Open("pgx", u.String())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return &journaltest.Database{DB: db, Schema: schema}
	})
}

func exec(t *testing.T, address, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", address)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(statement)
	require.NoError(t, err)
}
