-- Checkpoints of responses that run, in the order in which they came: those of one commit lie side by side on few pages. The
-- server knows which of them are of no use any more and deletes many at a time. Rows of a response that has ended count for
-- nothing; what a killed server left of one that had not, the next start moves to `segment`, where reads find it. Without
-- a foreign key, because a row here must cost next to nothing.

CREATE TABLE checkpoint (
	key        INTEGER PRIMARY KEY,
	response   INTEGER NOT NULL,
	number     INTEGER NOT NULL,
	kind       INTEGER NOT NULL,
	created_ms INTEGER NOT NULL,
	sealed     BLOB    NOT NULL
) STRICT;
