/* The append-only log of one response's events, numbered 0, 1, 2, … Text is kept once, in the order of arrival; a delta is
 * only where it ends. Pure. Private to the response layer, the only place that gives out sequence numbers. */
#ifndef SLUICE_RESPONSE_EVENT_LOG_H
#define SLUICE_RESPONSE_EVENT_LOG_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/event.h"

/* Where in the text the event stands: a delta is what lies between its predecessor's end and its own. */
struct event_entry {
	uint32_t end;
	uint8_t kind;  /* enum event_kind */
	uint16_t item; /* output index; 0 for events of the whole response */
};

struct event_log {
	struct event_entry *entries;
	uint32_t count;
	uint32_t capacity;
	struct buf text;
};

void event_log_free(struct event_log *log);
/* Text that belongs to the next delta; nothing is appended to the log yet. -1 when memory is out or 4 GiB are full. */
int event_log_add_text(struct event_log *log, struct str text);
/* Whether text waits for its delta. */
bool event_log_has_pending(const struct event_log *log);
/* Appends an event; an EVENT_DELTA takes the waiting text. -1 when memory is out. */
int event_log_append(struct event_log *log, enum event_kind kind, uint16_t item);
/* The text between two events' ends: of delta `sequence`. */
struct str event_log_delta(const struct event_log *log, uint32_t sequence);
/* All text so far. There is one text item in a response; with more, this takes an index. */
struct str event_log_text(const struct event_log *log);

/* The log from event `first` on, as it is stored beside the text, so that a response can be replayed with the same numbers:
 * version 1 (before event 0), then per event its kind, and for a delta the length of its text as a varint. */
void event_log_encode(const struct event_log *log, uint32_t first, struct buf *out);
/* Whether its terminal event is there. */
bool event_log_ended(const struct event_log *log);
/* Appends what is missing of a log that a killed server left: the end of an open item, and the terminal event. */
int event_log_close(struct event_log *log);
/* Rebuilds it from that and the text; ERR_CORRUPT when they do not fit each other. */
int event_log_decode(struct event_log *log, struct str encoded, struct str text, struct err *err);

#endif
