/* The append-only log of one response's events, numbered 0, 1, 2, … Text is kept once, in the order of arrival; a delta is
 * only where it ends: four bytes, for as long as one follows another of the same part. Pure. Private to the response layer, the only place that gives out sequence numbers. */
#ifndef SLUICE_RESPONSE_EVENT_LOG_H
#define SLUICE_RESPONSE_EVENT_LOG_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/event.h"

/* An event. Where in the text it stands: a delta is what lies between its predecessor's end and its own. */
struct event_entry {
	uint32_t end;
	uint8_t kind;  /* enum event_kind */
	uint8_t part;  /* index among the item's parts; 0 for events of no part */
	uint16_t item; /* output index; 0 for events of the whole response */
};

/* Events that follow each other and differ in where they end alone: as a rule the deltas of an answer are one run. */
struct event_run {
	uint32_t first; /* the number of its first event */
	uint8_t kind, part;
	uint16_t item;
};

struct event_log {
	uint32_t *ends; /* of each event, in the text */
	uint32_t count;
	uint32_t capacity;
	struct event_run *runs;
	uint32_t run_count, run_capacity;
	uint32_t owed; /* events of the end that are still to come: room for them is kept */
	struct buf text;
	/* What few answers have: logprobs of deltas, and annotations. JSON, in the order of arrival. */
	struct buf side;
	uint32_t *side_ends; /* of each event; NULL while there is nothing beside the text */
};

#define EVENT_LOG_MAX_ITEMS 1024
#define EVENT_LOG_MAX_PARTS 255

void event_log_free(struct event_log *log);
/* Text that belongs to the next delta; nothing is appended to the log yet. -1 when memory is out or 4 GiB are full. */
int event_log_add_text(struct event_log *log, struct str text);
/* The same for JSON beside it: the logprobs of the next delta (which a comma joins), or the next annotation. */
int event_log_add_side(struct event_log *log, struct str json);
/* Whether something waits for its event. */
bool event_log_has_pending(const struct event_log *log);
/* Appends an event; an EVENT_DELTA takes the waiting text and what is beside it, an EVENT_ANNOTATION the latter. -1 when
 * memory is out, which the events that end an item or the response never are once it was begun. */
int event_log_append(struct event_log *log, enum event_kind kind, uint32_t item, uint32_t part);
/* Event `sequence`, one of those that there are. */
struct event_entry event_log_at(const struct event_log *log, uint32_t sequence);
/* The text between two events' ends: of delta `sequence`. */
struct str event_log_delta(const struct event_log *log, uint32_t sequence);
/* What is beside it: a delta's logprobs, an annotation. */
struct str event_log_side(const struct event_log *log, uint32_t sequence);
/* How many annotations the part of this one had before it. */
uint32_t event_log_annotations_before(const struct event_log *log, uint32_t sequence);
/* Gives the part what the events from `first` on brought of it: text, annotations, logprobs; what it had is gone. -1 when
 * memory is out; the part is as it was then. */
int event_log_collect(const struct event_log *log, uint32_t first, struct event_entry of, struct part *part);

/* The log from event `first` on, as it is stored beside the items, so that a response can be replayed with the same numbers:
 * version 2 (before event 0), then each event in 1 to 12 bytes; the usual delta takes 2. */
void event_log_encode(const struct event_log *log, uint32_t first, struct buf *out);
/* What another log has behind the end of this one, as it stands there. */
struct event_log_tail {
	const struct event_entry *entries;
	const uint32_t *side_ends; /* NULL: there is nothing beside its text */
	uint32_t count;
	struct str text, side;
};
/* Appends it; this log then is to be read, and not to be appended to otherwise. -1 when memory is out: the log is of no use. */
int event_log_join(struct event_log *log, const struct event_log_tail *tail);

/* Whether its terminal event is there. */
bool event_log_ended(const struct event_log *log);
/* Appends what is missing of a log that a killed server left: the ends of open items, and the terminal event. */
int event_log_close(struct event_log *log, const struct item *items, size_t count);
/* Rebuilds it from that and the items; ERR_CORRUPT when they do not fit each other. Reads version 1 too, which knew one text. */
int event_log_decode(struct event_log *log, struct str encoded, const struct item *items, size_t count,
		     struct err *err);

#endif
