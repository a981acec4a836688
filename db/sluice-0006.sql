-- The chain of a thread as it was behind some of its records, every 64 or so: from there on it can be verified without the
-- records before. Not secret, and believed only if the chain that goes on from it ends at the thread's head.

CREATE TABLE waypoint (
	thread INTEGER NOT NULL REFERENCES thread (key) ON DELETE CASCADE,
	number INTEGER NOT NULL,
	chain  BLOB    NOT NULL CHECK (length(chain) = 32),
	PRIMARY KEY (thread, number)
) STRICT, WITHOUT ROWID;
