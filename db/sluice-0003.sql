-- Which response a request with an idempotency key began, for a day. Key and request are keyed hashes: whoever reads them
-- without the key-encryption key learns neither. Gone with the response.

CREATE TABLE idempotency (
	key_hash   BLOB    NOT NULL PRIMARY KEY CHECK (length(key_hash) = 32),
	body_hash  BLOB    NOT NULL CHECK (length(body_hash) = 32),
	response   INTEGER NOT NULL REFERENCES response (key) ON DELETE CASCADE,
	created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_response ON idempotency (response);

-- Finds the expired ones.
CREATE INDEX idempotency_by_time ON idempotency (created_ms);
