package pgqueue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue"
)

// migrations bring a schema from version i to version i+1. Once released, one is
// never changed. An @ stands for the schema's name and a dot.
//
// All times are Unix milliseconds, 0 for none. States are 0 ready, 1 held,
// 2 delivered, 3 bounced, 4 cancelled.
var migrations = []string{`
CREATE TABLE @template (
	id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	hash    bytea NOT NULL UNIQUE, -- SHA-256 of the content
	used    bigint NOT NULL,       -- when a job last named it, to the hour
	content bytea NOT NULL
);
-- Mail compresses little for what the attempt costs.
ALTER TABLE @template ALTER content SET STORAGE EXTERNAL;

CREATE TABLE @flow (
	id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	lane     text NOT NULL,
	priority smallint NOT NULL,
	tenant   text NOT NULL,
	campaign text NOT NULL,
	used     bigint NOT NULL, -- as that of template
	UNIQUE (lane, priority, tenant, campaign)
);

CREATE TABLE @job (
	id        uuid NOT NULL,
	flow      bigint NOT NULL,
	template  bigint NOT NULL,
	due       bigint NOT NULL, -- the end of the lease, while leased
	was       bigint NOT NULL, -- due before the lease
	expires   bigint NOT NULL,
	token     bigint NOT NULL, -- of the lease; negative, of the last one
	attempts  integer NOT NULL,
	state     smallint NOT NULL,
	address   text NOT NULL,
	recipient bytea NOT NULL,
	stream    text NOT NULL,
	tags      json,
	meta      json,
	key       bytea,
	digest    bytea,
	last      text NOT NULL,
	PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX job_key ON @job (key) WHERE key IS NOT NULL;
-- A claim reads from the beginning of a flow, however deep the others are.
CREATE INDEX job_due ON @job (flow, due, id) WHERE state = 0;

-- What there is of each flow: the sum of its rows, which are merged now and then.
-- Jobs that are finished are merged under flow 0.
CREATE TABLE @tally (
	flow      bigint NOT NULL,
	ready     bigint NOT NULL,
	leased    bigint NOT NULL,
	held      bigint NOT NULL,
	delivered bigint NOT NULL,
	bounced   bigint NOT NULL,
	cancelled bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION @count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO @tally SELECT flow, count(*) FILTER (WHERE state = 0), 0, count(*) FILTER (WHERE state = 1), 0, 0, 0
		FROM new_rows GROUP BY flow;
	ELSIF TG_OP = 'DELETE' THEN
		INSERT INTO @tally SELECT 0, -count(*) FILTER (WHERE state = 0), -count(*) FILTER (WHERE state = 0 AND token > 0),
			-count(*) FILTER (WHERE state = 1), -count(*) FILTER (WHERE state = 2), -count(*) FILTER (WHERE state = 3),
			-count(*) FILTER (WHERE state = 4)
		FROM old_rows HAVING count(*) > 0;
	ELSE
		INSERT INTO @tally SELECT flow, sum(n * (state = 0)::int), sum(n * (state = 0 AND token > 0)::int), sum(n * (state = 1)::int),
			sum(n * (state = 2)::int), sum(n * (state = 3)::int), sum(n * (state = 4)::int)
		FROM (SELECT flow, state, token, -1 AS n FROM old_rows UNION ALL SELECT flow, state, token, 1 FROM new_rows) AS moved
		GROUP BY flow;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER count_insert AFTER INSERT ON @job REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @count();
CREATE TRIGGER count_delete AFTER DELETE ON @job REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION @count();
CREATE TRIGGER count_update AFTER UPDATE ON @job REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION @count();

CREATE TABLE @hold (
	lane     text NOT NULL, -- empty for any, as the others
	tenant   text NOT NULL,
	campaign text NOT NULL,
	PRIMARY KEY (lane, tenant, campaign)
);

CREATE TABLE @event (
	id         uuid PRIMARY KEY,
	time       bigint NOT NULL,
	type       text NOT NULL,
	message    uuid,
	recipient  text,
	campaign   text,
	stream     text,
	tenant     text,
	tags       json,
	meta       json,
	url        text,
	link       integer,
	ip         text,
	user_agent text,
	machine    integer,
	first      integer,
	reason     text,
	verdict    text,
	code       integer,
	enhanced   text,
	diagnostic text,
	host       text,
	attempt    integer,
	queue_id   text,
	mailing    text
);
CREATE INDEX event_time ON @event (time, id);
CREATE INDEX event_message ON @event (message) WHERE message IS NOT NULL;

CREATE TABLE @suppression (
	address text COLLATE "C" NOT NULL, -- in lower case
	stream  text COLLATE "C" NOT NULL, -- empty for all
	reason  text NOT NULL,
	detail  text NOT NULL,
	message uuid,
	since   bigint NOT NULL,
	until   bigint NOT NULL,
	PRIMARY KEY (address, stream)
);

-- How many were sent under a limit, by slots of the span in nanoseconds.
CREATE TABLE @sent (
	name text NOT NULL,
	span bigint NOT NULL,
	slot bigint NOT NULL,
	n    bigint NOT NULL,
	PRIMARY KEY (name, span, slot)
);

-- For people: one row a mail.
CREATE VIEW @mail AS
SELECT job.id, job.address, flow.lane, flow.campaign, flow.tenant, flow.priority,
	(ARRAY['ready', 'held', 'delivered', 'bounced', 'cancelled'])[job.state + 1] AS state,
	job.attempts, to_timestamp(job.due / 1000.0) AS due, job.last
FROM @job JOIN @flow ON flow.id = job.flow;
`, `
-- Who works. Each writes its row once a second or more.
CREATE TABLE @worker (
	id    uuid PRIMARY KEY,
	view  bigint NOT NULL,
	until bigint NOT NULL -- when it is taken for dead, by this server's clock
) WITH (fillfactor = 50);
`, `
-- How often holds have been set and lifted.
ALTER TABLE @version ADD holds bigint NOT NULL DEFAULT 0;
`}

// migrate brings the schema to the newest version, one process at a time.
func (s *Store) migrate(ctx context.Context) error {
	return s.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", s.lockKey("migrate")); err != nil {
			return err
		}
		version, err := s.version(ctx, tx)
		if err != nil {
			return err
		}
		if version > len(migrations) {
			return fmt.Errorf("%w: version %d, this release knows %d", queue.ErrCorrupt, version, len(migrations))
		}
		for i, m := range migrations[version:] {
			if _, err := tx.Exec(ctx, s.sql(m)); err != nil {
				return fmt.Errorf("migrate to version %d: %w", version+i+1, err)
			}
		}
		_, err = tx.Exec(ctx, s.sql("UPDATE @version SET version = $1 WHERE version <> $1"), len(migrations))
		return err
	})
}

// version is that of the schema, which is made if it is missing. Who may not make
// schemas can be given one.
func (s *Store) version(ctx context.Context, tx pgx.Tx) (n int, err error) {
	var schema, table bool
	err = tx.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL, to_regclass($2) IS NOT NULL", s.opts.Schema, s.opts.Schema+".version").
		Scan(&schema, &table)
	if err == nil && !schema {
		_, err = tx.Exec(ctx, "CREATE SCHEMA "+s.opts.Schema)
	}
	if err == nil && !table {
		_, err = tx.Exec(ctx, s.sql("CREATE TABLE @version (version integer NOT NULL); INSERT INTO @version VALUES (0)"))
	}
	if err == nil {
		err = tx.QueryRow(ctx, s.sql("SELECT version FROM @version")).Scan(&n)
	}
	return n, err
}
