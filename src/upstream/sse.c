#include "upstream/sse.h"

#include <string.h>

#define BOM "\xEF\xBB\xBF"

/* One sse_feed under way. The first data line of an event stays a view into the input for as long as it can. */
struct feed {
	struct sse_parser *parser;
	struct str view; /* the only data line so far, within the input; data NULL when there is none */
	sse_event_fn *event;
	void *owner;
	struct err *err;
};

void sse_init(struct sse_parser *parser, size_t max_event) {
	*parser = (struct sse_parser){.max_event = max_event};
}

void sse_free(struct sse_parser *parser) {
	buf_free(&parser->line);
	buf_free(&parser->data);
}

static int too_large(const struct feed *feed) {
	return err_set(feed->err, ERR_LIMIT, "an event is larger than %zu bytes", feed->parser->max_event);
}

static int keep(const struct feed *feed, struct buf *to, struct str bytes) {
	if (bytes.length > feed->parser->max_event - to->length) {
		return too_large(feed);
	}
	buf_append_str(to, bytes);
	return to->failed ? err_set(feed->err, ERR_MEMORY, "no memory for an event") : 0;
}

/* The view ends with the input: what the event has so far moves into the parser. */
static int keep_view(struct feed *feed) {
	if (!feed->view.data) {
		return 0;
	}
	struct str view = feed->view;
	feed->view = STR_NONE;
	return keep(feed, &feed->parser->data, view);
}

static int take_data(struct feed *feed, struct str value, bool from_input) {
	struct sse_parser *parser = feed->parser;
	if (!parser->has_data && from_input) {
		parser->has_data = true;
		feed->view = value;
		return 0;
	}
	if (keep_view(feed) || (parser->has_data && keep(feed, &parser->data, STR("\n")))) {
		return -1;
	}
	parser->has_data = true;
	return keep(feed, &parser->data, value);
}

static int dispatch(struct feed *feed) {
	struct sse_parser *parser = feed->parser;
	if (!parser->has_data) {
		return 0;
	}
	parser->has_data = false;
	struct str data = feed->view.data ? feed->view : buf_str(&parser->data);
	feed->view = STR_NONE;
	int stopped = feed->event(feed->owner, data);
	buf_clear(&parser->data);
	return stopped ? -1 : 0;
}

static int take_line(struct feed *feed, struct str line, bool from_input) {
	if (line.length > feed->parser->max_event) {
		return too_large(feed);
	}
	if (!feed->parser->started) {
		feed->parser->started = true;
		if (str_starts(line, BOM)) {
			line = str_skip(line, strlen(BOM));
		}
	}
	if (line.length == 0) {
		return dispatch(feed);
	}
	struct str value = line;
	struct str name = str_cut(&value, ':');
	if (!str_is(name, "data")) {
		return 0;
	}
	if (value.length > 0 && value.data[0] == ' ') {
		value = str_skip(value, 1);
	}
	return take_data(feed, value, from_input);
}

static int take_lines(struct feed *feed, struct str bytes) {
	struct sse_parser *parser = feed->parser;
	const char *at = bytes.data;
	const char *end = bytes.data + bytes.length;
	const char *lf = at; /* the next LF, looked for once, however many lone CRs stand before it */
	bool lf_known = false;
	while (at < end) {
		if (parser->after_cr) {
			parser->after_cr = false;
			if (*at == '\n') {
				at++;
				continue;
			}
		}
		if (!lf_known || lf < at) {
			lf = memchr(at, '\n', (size_t)(end - at));
			lf = lf ? lf : end;
			lf_known = true;
		}
		const char *cr = memchr(at, '\r', (size_t)(lf - at));
		const char *stop = cr ? cr : lf;
		struct str part = {at, (size_t)(stop - at)};
		if (stop == end) {
			return keep(feed, &parser->line, part);
		}
		parser->after_cr = cr != NULL;
		at = stop + 1;
		bool whole = parser->line.length == 0;
		if (!whole && keep(feed, &parser->line, part)) {
			return -1;
		}
		if (take_line(feed, whole ? part : buf_str(&parser->line), whole)) {
			return -1;
		}
		buf_clear(&parser->line);
	}
	return 0;
}

int sse_feed(struct sse_parser *parser, struct str bytes, sse_event_fn *event, void *owner, struct err *err) {
	struct feed feed = {.parser = parser, .event = event, .owner = owner, .err = err};
	if (take_lines(&feed, bytes)) {
		return -1;
	}
	return keep_view(&feed);
}
