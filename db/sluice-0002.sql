-- What a streaming response has so far, a few times a second, so that a kill loses a fraction of a second of it. Gone when
-- the response ends; found only after a server that did not end in good order.

CREATE TABLE segment (
	response   INTEGER NOT NULL REFERENCES response (key) ON DELETE CASCADE,
	number     INTEGER NOT NULL,
	kind       INTEGER NOT NULL,
	created_ms INTEGER NOT NULL,
	sealed     BLOB    NOT NULL,
	PRIMARY KEY (response, number)
) STRICT, WITHOUT ROWID;
