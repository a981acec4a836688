/* An error, captured by value at the point of failure.
 *
 * Functions that can fail return 0 or -1 and take a `struct err *` last; it may be NULL. Outputs are untouched
 * on failure. The text is for operators and logs: it may name paths and numbers, never content or secrets. */
#ifndef SLUICE_BASE_ERR_H
#define SLUICE_BASE_ERR_H

enum err_code {
	ERR_NONE,
	ERR_INVALID,         /* the caller's input is wrong */
	ERR_NOT_FOUND,       /* no such thing, or not this owner's */
	ERR_CONFLICT,        /* the thing changed under the caller, or exists already */
	ERR_DENIED,          /* not allowed */
	ERR_LIMIT,           /* a bound was reached */
	ERR_TIMEOUT,         /* a deadline passed */
	ERR_IO,              /* the system refused: file, socket, disk */
	ERR_FULL,            /* no space left */
	ERR_CORRUPT,         /* data that does not verify */
	ERR_OUTCOME_UNKNOWN, /* a write that may or may not have happened */
	ERR_MEMORY,          /* allocation failed */
};

struct err {
	enum err_code code;
	char text[256]; /* NUL-terminated, cut when too long */
};

/* Fills `err` and returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *err, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text that is there; keeps the code; returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The code's name, as logs and JSON show it: "not_found". Static. */
const char *err_code_name(enum err_code code);

#endif
