/* What a request shares with its settings, and those with theirs. Private to proto. */
#ifndef SLUICE_PROTO_SETTINGS_PARTS_H
#define SLUICE_PROTO_SETTINGS_PARTS_H

#include "field.h"
#include "proto/request.h"

/* One row a number, with its bounds, for reading, storing and showing alike. The offsets are of request_settings. */
struct number_row {
	const char *name;
	double least, most;
	const char *wanted;
	size_t value, has; /* double, bool */
	double neutral;    /* what is shown when it was not given */
};

struct integer_row {
	const char *name;
	int64_t least, most;
	const char *wanted;
	size_t value, has;   /* int64_t, bool */
	const char *neutral; /* JSON, shown when it was not given */
};

/* A text of at most 64 characters that means something only to who sent it. */
struct label_row {
	const char *name;
	size_t value; /* char[REQUEST_LABEL_SIZE] */
};

#define NUMBER_ROWS 4
#define INTEGER_ROWS 3
#define LABEL_ROWS 2
extern const struct number_row settings_numbers[NUMBER_ROWS];
extern const struct integer_row settings_integers[INTEGER_ROWS];
extern const struct label_row settings_labels[LABEL_ROWS];

/* Reads the member of a request, or of stored settings, if it is a setting: *known says so. null is as if it were not
 * there. What two settings say about each other is not looked at. -1 with the field's error. */
int settings_read_member(const struct field *field, struct str name, struct request_settings *settings, bool *known);

/* The value of `effort` in `reasoning`. */
int settings_read_effort(const struct field *field, struct request_settings *settings);

/* An object of at most 16 strings, bounded in length: a copy as JSON, which the caller frees. */
int settings_read_metadata(const struct field *field, char **out);

void text_settings_free(struct text_settings *text);
int text_settings_copy(struct text_settings *to, const struct text_settings *from); /* -1 when memory is out */
/* The value of `text`. */
int text_settings_read(const struct field *field, struct text_settings *text);
/* The members of a format beside its type when that is json_schema; the value of `verbosity`. */
int text_settings_read_schema(const struct field *format, struct text_settings *text);
int text_settings_read_verbosity(const struct field *verbosity, struct text_settings *text);
/* As the response object shows it; or, without `full`, only what was said, for the store. */
void text_settings_write(struct json_writer *w, const struct text_settings *text, bool full);
/* Whether there is anything to store. */
bool text_settings_said(const struct text_settings *text);

/* The service tier as an answer names it. */
const char *settings_shown_tier(const struct request_settings *settings);

#endif
