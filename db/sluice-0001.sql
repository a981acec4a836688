-- What a store keeps of conversations and of those who take part. Texts are sealed records; the keys to them are in
-- keys.db. Rows point at each other by number, so that the indices stay small; ids are looked up once per change.

CREATE TABLE thread (
	key           INTEGER PRIMARY KEY,
	id            TEXT    NOT NULL UNIQUE,
	owner         TEXT    NOT NULL,
	created_ms    INTEGER NOT NULL,
	updated_ms    INTEGER NOT NULL,
	last_response TEXT    NOT NULL,
	last_number   INTEGER NOT NULL,
	count         INTEGER NOT NULL,
	chain         BLOB    NOT NULL CHECK (length(chain) = 32),
	head          BLOB    NOT NULL CHECK (length(head) = 32)
) STRICT;

CREATE INDEX thread_by_owner ON thread (owner, updated_ms, id);

-- A parent is named by id and not by key: it may be deleted while its children stay.
CREATE TABLE response (
	key              INTEGER PRIMARY KEY,
	id               TEXT    NOT NULL UNIQUE,
	thread           INTEGER NOT NULL REFERENCES thread (key) ON DELETE CASCADE,
	parent           TEXT    NOT NULL,
	model            TEXT    NOT NULL,
	status           TEXT    NOT NULL,
	reason           TEXT    NOT NULL,
	created_ms       INTEGER NOT NULL,
	completed_ms     INTEGER NOT NULL,
	input_tokens     INTEGER NOT NULL,
	cached_tokens    INTEGER NOT NULL,
	output_tokens    INTEGER NOT NULL,
	reasoning_tokens INTEGER NOT NULL
) STRICT;

CREATE INDEX response_by_thread ON response (thread);

-- What the sweep at start looks for: its cost follows the number of responses in flight, not of those kept.
CREATE INDEX response_in_flight ON response (key) WHERE status IN ('in_progress', 'queued');

-- A record without a response belongs to its thread alone.
CREATE TABLE record (
	key        INTEGER PRIMARY KEY,
	thread     INTEGER NOT NULL REFERENCES thread (key) ON DELETE CASCADE,
	number     INTEGER NOT NULL,
	response   INTEGER REFERENCES response (key) ON DELETE CASCADE,
	kind       INTEGER NOT NULL,
	created_ms INTEGER NOT NULL,
	commitment BLOB    NOT NULL CHECK (length(commitment) = 32),
	sealed     BLOB    NOT NULL,
	UNIQUE (thread, number)
) STRICT;

CREATE INDEX record_by_response ON record (response, number);

-- Finds the first record of a kind, and holds all that a chain is verified over without touching the texts.
CREATE INDEX record_links ON record (thread, kind, number, commitment);

CREATE TABLE user (
	id         TEXT    NOT NULL PRIMARY KEY,
	name       TEXT    NOT NULL UNIQUE,
	created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
	id         TEXT    NOT NULL PRIMARY KEY,
	kind       INTEGER NOT NULL,
	user       TEXT    NOT NULL REFERENCES user (id) ON DELETE CASCADE,
	name       TEXT    NOT NULL,
	hash       BLOB    NOT NULL CHECK (length(hash) = 32),
	created_ms INTEGER NOT NULL,
	expires_ms INTEGER NOT NULL,
	revoked_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX credential_by_user ON credential (user);

-- One row, rewritten to learn whether the disk takes writes again after it refused one.
CREATE TABLE probe (
	key   INTEGER PRIMARY KEY CHECK (key = 1),
	at_ms INTEGER NOT NULL
) STRICT;

INSERT INTO probe VALUES (1, 0);
