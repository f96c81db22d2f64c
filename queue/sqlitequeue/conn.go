package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/franqueo/franqueo/queue"
)

// conn is one connection to the file, with its statements. It goes to the driver
// directly: database/sql would cost more than SQLite itself for a small row. It
// is not safe for concurrent use.
type conn struct {
	driver     driver.Conn
	statements map[string]driver.Stmt
	args       []driver.NamedValue // reused
}

// pragmas are set on every connection. FULL syncs at each commit: without it WAL
// loses the newest transactions when the power fails.
const pragmas = `
PRAGMA busy_timeout = 5000;
PRAGMA synchronous = FULL;
PRAGMA fullfsync = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA temp_store = MEMORY;
`

func dial(path string, extra string) (*conn, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}
	d, err := (&sqlite.Driver{}).Open(name.String())
	if err != nil {
		return nil, named(err)
	}
	c := &conn{driver: d, statements: map[string]driver.Stmt{}}
	if err := c.script(pragmas + extra); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// script runs statements without arguments.
func (c *conn) script(sql string) error {
	_, err := c.driver.(driver.ExecerContext).ExecContext(context.Background(), sql, nil)
	return named(err)
}

func (c *conn) prepare(sql string) (driver.Stmt, error) {
	if st, ok := c.statements[sql]; ok {
		return st, nil
	}
	st, err := c.driver.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", named(err), sql)
	}
	c.statements[sql] = st
	return st, nil
}

func (c *conn) bind(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs one statement and returns how many rows it changed.
func (c *conn) exec(sql string, args ...driver.Value) (int64, error) {
	st, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	result, err := st.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, named(err)
	}
	return result.RowsAffected()
}

// insert is exec, and returns the number of the new row.
func (c *conn) insert(sql string, args ...driver.Value) (int64, error) {
	st, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	result, err := st.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, named(err)
	}
	return result.LastInsertId()
}

// query calls row with each row of the answer. The slice is reused, what is in it
// is not.
func (c *conn) query(ctx context.Context, row func([]driver.Value) error, sql string, args ...driver.Value) (err error) {
	st, err := c.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := st.(driver.StmtQueryContext).QueryContext(ctx, c.bind(args))
	if err != nil {
		return named(err)
	}
	defer func() { err = errors.Join(err, named(rows.Close())) }()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return named(err)
		}
		if err := row(values); err != nil {
			return err
		}
	}
}

// number is the first column of the first row, or 0 if there is none.
func (c *conn) number(sql string, args ...driver.Value) (n int64, err error) {
	err = c.query(context.Background(), func(v []driver.Value) error {
		n, _ = v[0].(int64)
		return nil
	}, sql, args...)
	return n, err
}

func (c *conn) close() error {
	var errs []error
	for _, st := range c.statements {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, c.driver.Close())...)
}

// engineError is an error of SQLite, as opposed to a refusal of ours.
type engineError struct{ named, err error }

func (e *engineError) Error() string   { return fmt.Sprintf("%v: %v", e.named, e.err) }
func (e *engineError) Unwrap() []error { return []error{e.named, e.err} }

var errEngine = errors.New("sqlitequeue: the database failed")

// named gives an error of SQLite its name in package queue.
func named(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return &engineError{errEngine, err}
	}
	// The primary code is in the low byte.
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &engineError{queue.ErrLocked, err}
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return &engineError{queue.ErrCorrupt, err}
	case sqlite3.SQLITE_FULL:
		return &engineError{queue.ErrNoSpace, err}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return &engineError{queue.ErrReadOnly, err}
	}
	switch e.Code() {
	case sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS:
		return &engineError{queue.ErrCorrupt, err}
	}
	return &engineError{errEngine, err}
}
