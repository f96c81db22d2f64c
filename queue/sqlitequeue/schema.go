package sqlitequeue

import (
	"fmt"

	"github.com/franqueo/franqueo/queue"
)

// application marks our files (PRAGMA application_id): "frnq".
const application = 0x66726e71

// migrations bring a file from version i (PRAGMA user_version) to version i+1.
// Once released, one is never changed.
//
// All times are Unix milliseconds, 0 for none. IDs are 16 bytes. States are 0
// ready, 1 held, 2 delivered, 3 bounced, 4 cancelled. A row of job is made small:
// its flow and its template are numbers, and what is empty is NULL.
var migrations = []string{`
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0), ('ended 2', 0), ('ended 3', 0), ('ended 4', 0);

-- Two tables and no index on hash, so that storing a template only appends: an
-- index by hash would cost a random page for every message. A hash can be there
-- more than once.
CREATE TABLE template (
	id   INTEGER PRIMARY KEY,
	hash BLOB NOT NULL -- SHA-256 of the content
) STRICT;
CREATE TABLE content (
	template INTEGER PRIMARY KEY,
	content  BLOB
) STRICT;

CREATE TABLE flow (
	id       INTEGER PRIMARY KEY,
	lane     TEXT NOT NULL,
	priority INTEGER NOT NULL,
	tenant   TEXT NOT NULL,
	campaign TEXT NOT NULL,
	UNIQUE (lane, priority, tenant, campaign)
) STRICT;

CREATE TABLE job (
	id        BLOB PRIMARY KEY,
	flow      INTEGER NOT NULL,
	template  INTEGER NOT NULL,
	state     INTEGER NOT NULL,
	attempts  INTEGER NOT NULL DEFAULT 0,
	due       INTEGER NOT NULL,
	expires   INTEGER NOT NULL,
	address   TEXT NOT NULL,
	recipient BLOB,
	stream    TEXT,
	tags      TEXT, -- JSON array
	meta      TEXT, -- JSON object
	key       TEXT,
	digest    BLOB,
	sum       INTEGER NOT NULL, -- CRC-32C of what never changes
	last      TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX job_key ON job (key) WHERE key IS NOT NULL;
-- All that the schedule needs, so that opening reads no more than this.
CREATE INDEX job_unfinished ON job (id, flow, due, state) WHERE state < 2;

CREATE TABLE hold (
	lane     TEXT NOT NULL, -- empty for any, as the others
	tenant   TEXT NOT NULL,
	campaign TEXT NOT NULL,
	PRIMARY KEY (lane, tenant, campaign)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
	id         BLOB PRIMARY KEY,
	time       INTEGER NOT NULL,
	type       TEXT NOT NULL,
	message    BLOB,
	recipient  TEXT,
	campaign   TEXT,
	stream     TEXT,
	tenant     TEXT,
	tags       TEXT, -- JSON array
	meta       TEXT, -- JSON object
	url        TEXT,
	link       INTEGER,
	ip         TEXT,
	user_agent TEXT,
	machine    INTEGER,
	first      INTEGER,
	reason     TEXT,
	verdict    TEXT,
	code       INTEGER,
	enhanced   TEXT,
	diagnostic TEXT,
	host       TEXT,
	attempt    INTEGER,
	queue_id   TEXT,
	mailing    TEXT
) STRICT;
CREATE INDEX event_time ON event (time, id);
CREATE INDEX event_message ON event (message) WHERE message IS NOT NULL;
CREATE INDEX event_recipient ON event (recipient, time) WHERE recipient IS NOT NULL;

CREATE TABLE suppression (
	address TEXT NOT NULL, -- in lower case
	stream  TEXT NOT NULL, -- empty for all
	reason  TEXT NOT NULL,
	detail  TEXT NOT NULL,
	message BLOB,
	since   INTEGER NOT NULL,
	until   INTEGER NOT NULL,
	PRIMARY KEY (address, stream)
) STRICT, WITHOUT ROWID;

-- How many were sent under a limit, by slots of the span in nanoseconds.
CREATE TABLE sent (
	name TEXT NOT NULL,
	span INTEGER NOT NULL,
	slot INTEGER NOT NULL,
	n    INTEGER NOT NULL,
	PRIMARY KEY (name, span, slot)
) STRICT, WITHOUT ROWID;

-- For people: one row a mail.
CREATE VIEW mail AS
SELECT lower(hex(job.id)) AS id, job.address, flow.lane, flow.campaign, flow.tenant, flow.priority,
	CASE job.state WHEN 0 THEN 'ready' WHEN 1 THEN 'held' WHEN 2 THEN 'delivered' WHEN 3 THEN 'bounced' ELSE 'cancelled' END AS state,
	job.attempts, datetime(job.due / 1000, 'unixepoch') AS due, job.last
FROM job JOIN flow ON flow.id = job.flow;
`}

// migrate brings the file to the newest version.
func (c *conn) migrate() error {
	version, err := c.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if version > int64(len(migrations)) {
		return fmt.Errorf("%w: version %d, this release knows %d", queue.ErrCorrupt, version, len(migrations))
	}
	app, err := c.number("PRAGMA application_id")
	if err != nil {
		return err
	}
	if version > 0 && app != application {
		return fmt.Errorf("%w: not a queue but another program's database", queue.ErrCorrupt)
	}
	for ; version < int64(len(migrations)); version++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			migrations[version], application, version+1)
		if err := c.script(script); err != nil {
			return err
		}
	}
	return nil
}
