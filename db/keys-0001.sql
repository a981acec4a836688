-- Wrapped data keys, in a file of their own: a backup of transcripts may live long, one of keys must not.

CREATE TABLE dek (
	thread  TEXT    NOT NULL,
	epoch   INTEGER NOT NULL,
	owner   TEXT    NOT NULL,
	wrapped BLOB    NOT NULL CHECK (length(wrapped) = 116),
	PRIMARY KEY (thread, epoch)
) STRICT, WITHOUT ROWID;
