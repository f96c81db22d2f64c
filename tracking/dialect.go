package tracking

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dialect is the SQL of a database.
type dialect uint8

const (
	sqlite dialect = iota
	postgres
)

// dialectOf asks the database what it is.
func dialectOf(ctx context.Context, db *sql.DB) (dialect, error) {
	var version string
	if db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version) == nil {
		return sqlite, nil
	}
	err := db.QueryRowContext(ctx, "SELECT version()").Scan(&version)
	if err == nil && !strings.HasPrefix(version, "PostgreSQL") {
		err = fmt.Errorf("%q is neither SQLite nor PostgreSQL", version)
	}
	if err != nil {
		return 0, fmt.Errorf("tracking: what database: %w", err)
	}
	return postgres, nil
}

// mark is the placeholder of the n-th argument, from 1.
func (d dialect) mark(n int) string {
	if d == postgres {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// marks writes a list of placeholders in parentheses.
func (d dialect) marks(b *strings.Builder, from, n int) {
	for i := range n {
		b.WriteString([]string{"(", ", "}[min(i, 1)])
		b.WriteString(d.mark(from + i))
	}
	b.WriteByte(')')
}

// index is the statement that makes an index. It lies in the table's schema, which
// SQLite wants to be named before the index and PostgreSQL before the table.
func (d dialect) index(table, name, columns string) string {
	schema, bare, found := strings.Cut(table, ".")
	if !found {
		schema, bare = "", table
	}
	index := bare + "_" + name
	if d == sqlite {
		table = bare
		if schema != "" {
			index = schema + "." + index
		}
	}
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s)", index, table, columns)
}

// domain is the expression for the domain of the recipient, in lower case.
func (d dialect) domain() string {
	if d == postgres {
		return "lower(substring(recipient from '[^@]*$'))"
	}
	// What is left of the last @ is what rtrim leaves when it may take all but @.
	return "lower(substr(recipient, length(rtrim(recipient, replace(recipient, '@', ''))) + 1))"
}

// conditions gathers what stands behind WHERE, and the arguments.
type conditions struct {
	dialect dialect
	terms   []string
	args    []any
}

// add adds a term with a ? for each value.
func (c *conditions) add(term string, values ...any) {
	var b strings.Builder
	for i, part := range strings.Split(term, "?") {
		if i > 0 {
			b.WriteString(c.value(values[i-1]))
		}
		b.WriteString(part)
	}
	c.terms = append(c.terms, b.String())
}

// value adds an argument, and returns its placeholder.
func (c *conditions) value(v any) string {
	c.args = append(c.args, v)
	return c.dialect.mark(len(c.args))
}

// equal asks for a value, unless it is empty.
func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ?", value)
	}
}

// span asks for a time, in milliseconds, unless it is zero.
func (c *conditions) span(since, until time.Time) {
	if !since.IsZero() {
		c.add("time >= ?", ceilMilli(since))
	}
	if !until.IsZero() {
		c.add("time < ?", ceilMilli(until))
	}
}

// ceilMilli rounds up, since stored times are rounded down.
func ceilMilli(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

func (c *conditions) filter(f *EventFilter) {
	if !f.Message.IsZero() {
		c.add("message = ?", f.Message.String())
	}
	c.equal("recipient", f.Recipient)
	c.equal("campaign", f.Campaign)
	c.span(f.Since, f.Until)
	if len(f.Types) > 0 {
		types := make([]any, len(f.Types))
		for i, t := range f.Types {
			types[i] = string(t)
		}
		c.add("type IN (?"+strings.Repeat(", ?", len(types)-1)+")", types...)
	}
}

func (c *conditions) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}
