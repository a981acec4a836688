#include "event_log.h"

#include <string.h>

#include "base/mem.h"

#define FIRST_CAPACITY 16

void event_log_free(struct event_log *log) {
	mem_free(log->ends);
	mem_free(log->runs);
	mem_free(log->side_ends);
	buf_free(&log->text);
	buf_free(&log->side);
	*log = (struct event_log){0};
}

/* --- what waits for its event --------------------------------------------------------------------------------------- */

static uint32_t last_end(const struct event_log *log) {
	return log->count ? log->ends[log->count - 1] : 0;
}

static uint32_t last_side_end(const struct event_log *log) {
	return log->count && log->side_ends ? log->side_ends[log->count - 1] : 0;
}

static int add(struct buf *to, struct str text) {
	if (text.length > UINT32_MAX - to->length) {
		return -1;
	}
	if (buf_reserve_tight(to, text.length)) {
		buf_append_str(to, text);
	}
	return to->failed ? -1 : 0;
}

int event_log_add_text(struct event_log *log, struct str text) {
	return add(&log->text, text);
}

int event_log_add_side(struct event_log *log, struct str json) {
	if (!log->side_ends) {
		log->side_ends = mem_zarray(log->capacity ? log->capacity : 1, sizeof *log->side_ends);
		if (!log->side_ends) {
			return -1;
		}
	}
	if (log->side.length > last_side_end(log) && add(&log->side, STR(","))) {
		return -1;
	}
	return add(&log->side, json);
}

bool event_log_has_pending(const struct event_log *log) {
	return log->text.length > last_end(log) || log->side.length > last_side_end(log);
}

/* --- appending ------------------------------------------------------------------------------------------------------ */

/* Tight: thousands of logs are alive at once, and what they have in reserve is most of what they would cost in vain. */
static uint32_t grown(uint32_t capacity, uint32_t room) {
	capacity += capacity / 4;
	capacity = capacity < FIRST_CAPACITY ? FIRST_CAPACITY : capacity;
	return capacity < room ? room : capacity;
}

static int reserve_runs(struct event_log *log, uint32_t room) {
	if (log->runs && room <= log->run_capacity) {
		return 0;
	}
	uint32_t capacity = grown(log->run_capacity, room);
	struct event_run *runs = mem_realloc(log->runs, capacity * sizeof *runs);
	if (!runs) {
		return -1;
	}
	log->runs = runs;
	log->run_capacity = capacity;
	return 0;
}

static int reserve_ends(struct event_log *log, uint32_t room) {
	if (log->ends && room <= log->capacity) {
		return 0;
	}
	uint32_t capacity = grown(log->capacity, room);
	uint32_t *ends = mem_realloc(log->ends, capacity * sizeof *ends);
	if (!ends) {
		return -1;
	}
	log->ends = ends;
	if (log->side_ends) {
		uint32_t *side_ends = mem_realloc(log->side_ends, capacity * sizeof *side_ends);
		if (!side_ends) {
			return -1;
		}
		log->side_ends = side_ends;
	}
	log->capacity = capacity;
	return 0;
}

static bool is_of_run(const struct event_run *run, const struct event_entry *entry) {
	return run->kind == entry->kind && run->part == entry->part && run->item == entry->item;
}

/* `after` more are to find room without memory. */
static int put(struct event_log *log, struct event_entry entry, uint32_t after) {
	const struct event_run *last = log->run_count ? &log->runs[log->run_count - 1] : NULL;
	bool begins = !last || !is_of_run(last, &entry);
	if (reserve_ends(log, log->count + 1 + after) || reserve_runs(log, log->run_count + begins + after)) {
		return -1;
	}
	if (begins) {
		log->runs[log->run_count++] = (struct event_run){log->count, entry.kind, entry.part, entry.item};
	}
	log->ends[log->count++] = entry.end;
	return 0;
}

/* What an event of this kind will want at the end of what it opens. */
static uint32_t debt(enum event_kind kind) {
	switch (kind) {
	case EVENT_CREATED:
		return 1; /* the terminal event */
	case EVENT_ITEM_ADDED:
	case EVENT_PART_ADDED:
		return 2;
	default:
		return 0;
	}
}

static bool is_end(enum event_kind kind) {
	return kind == EVENT_DONE || kind == EVENT_PART_DONE || kind == EVENT_ITEM_DONE || kind == EVENT_TERMINAL;
}

int event_log_append(struct event_log *log, enum event_kind kind, uint32_t item, uint32_t part) {
	uint32_t owed = log->owed + debt(kind);
	if (is_end(kind) && owed) {
		owed--;
	}
	uint32_t end = kind == EVENT_DELTA ? (uint32_t)log->text.length : last_end(log);
	uint32_t side_end =
		kind == EVENT_DELTA || kind == EVENT_ANNOTATION ? (uint32_t)log->side.length : last_side_end(log);
	const struct event_entry entry = {
		.end = end, .kind = (uint8_t)kind, .part = (uint8_t)part, .item = (uint16_t)item};
	if (put(log, entry, owed)) {
		return -1;
	}
	if (log->side_ends) {
		log->side_ends[log->count - 1] = side_end;
	}
	log->owed = owed;
	return 0;
}

int event_log_join(struct event_log *log, const struct event_log_tail *tail) {
	if (tail->count > UINT32_MAX - log->count || reserve_ends(log, log->count + tail->count)) {
		return -1;
	}
	if (tail->side_ends && !log->side_ends) {
		log->side_ends = mem_zarray(log->capacity ? log->capacity : 1, sizeof *log->side_ends);
		if (!log->side_ends) {
			return -1;
		}
	}
	if (tail->side_ends && tail->count) {
		memcpy(log->side_ends + log->count, tail->side_ends, tail->count * sizeof *log->side_ends);
	}
	for (uint32_t i = 0; i < tail->count; i++) {
		if (put(log, tail->entries[i], 0)) {
			return -1;
		}
	}
	return add(&log->text, tail->text) || add(&log->side, tail->side) ? -1 : 0;
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

/* A watcher that keeps up reads the last one. */
static const struct event_run *run_of(const struct event_log *log, uint32_t sequence) {
	uint32_t low = 0, high = log->run_count - 1;
	uint32_t middle = high;
	while (low < high) {
		if (log->runs[middle].first <= sequence) {
			low = middle;
		} else {
			high = middle - 1;
		}
		middle = low + (high - low + 1) / 2;
	}
	return &log->runs[low];
}

struct event_entry event_log_at(const struct event_log *log, uint32_t sequence) {
	const struct event_run *run = run_of(log, sequence);
	return (struct event_entry){
		.end = log->ends[sequence], .kind = run->kind, .part = run->part, .item = run->item};
}

struct str event_log_delta(const struct event_log *log, uint32_t sequence) {
	uint32_t start = sequence ? log->ends[sequence - 1] : 0;
	return (struct str){log->text.data + start, log->ends[sequence] - start};
}

struct str event_log_side(const struct event_log *log, uint32_t sequence) {
	if (!log->side_ends) {
		return STR_NONE;
	}
	uint32_t start = sequence ? log->side_ends[sequence - 1] : 0;
	return (struct str){log->side.data + start, log->side_ends[sequence] - start};
}

uint32_t event_log_annotations_before(const struct event_log *log, uint32_t sequence) {
	const struct event_entry this = event_log_at(log, sequence);
	uint32_t count = 0;
	for (uint32_t i = 0; i < sequence; i++) {
		const struct event_entry entry = event_log_at(log, i);
		count += entry.kind == EVENT_ANNOTATION && entry.item == this.item && entry.part == this.part;
	}
	return count;
}

struct collected {
	struct buf text, annotations, logprobs;
};

static void add_element(struct buf *to, struct str json) {
	if (json.length) {
		buf_append(to, ",", to->length ? 1 : 0);
		buf_append_str(to, json);
	}
}

/* An empty buffer gives NULL. */
static int take_elements(struct buf *from, char **out) {
	*out = from->length ? buf_take_text(from) : NULL;
	return from->failed ? -1 : 0;
}

static int take_collected(struct collected *collected, struct part *part) {
	struct part made = *part;
	made.length = collected->text.length;
	bool failed = collected->text.failed || collected->annotations.failed || collected->logprobs.failed;
	made.text = failed ? NULL : buf_take_text(&collected->text);
	if (!made.text) {
		return -1;
	}
	take_elements(&collected->annotations, &made.annotations);
	take_elements(&collected->logprobs, &made.logprobs);
	mem_free(part->text);
	mem_free(part->annotations);
	mem_free(part->logprobs);
	*part = made;
	return 0;
}

int event_log_collect(const struct event_log *log, uint32_t first, struct event_entry of, struct part *part) {
	struct collected collected = {0};
	for (uint32_t i = first; i < log->count; i++) {
		const struct event_entry entry = event_log_at(log, i);
		if (entry.item != of.item || entry.part != of.part) {
			continue;
		}
		if (entry.kind == EVENT_DELTA) {
			buf_append_str(&collected.text, event_log_delta(log, i));
			add_element(&collected.logprobs, event_log_side(log, i));
		} else if (entry.kind == EVENT_ANNOTATION) {
			add_element(&collected.annotations, event_log_side(log, i));
		}
	}
	int result = take_collected(&collected, part);
	buf_free(&collected.text);
	buf_free(&collected.annotations);
	buf_free(&collected.logprobs);
	return result;
}

bool event_log_ended(const struct event_log *log) {
	return log->count && log->runs[log->run_count - 1].kind == EVENT_TERMINAL;
}
