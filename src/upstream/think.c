#include "think.h"

#include <string.h>

#define OPENING STR("<think>")
#define CLOSING STR("</think>")

/* One think_feed under way. */
struct feed {
	struct think *think;
	struct str rest;
	think_fn *each;
	void *owner;
};

static bool is_space(char c) {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void think_init(struct think *think, enum chat_think mode) {
	static const enum think_state first[] = {
		[CHAT_THINK_OFF] = THINK_TEXT,
		[CHAT_THINK_TAGS] = THINK_START,
		[CHAT_THINK_OPEN] = THINK_OPENED,
	};
	*think = (struct think){.state = first[mode]};
}

static int show(const struct feed *feed, struct str piece) {
	bool reasoning = feed->think->state == THINK_BLOCK;
	return piece.length > 0 ? feed->each(feed->owner, reasoning, piece) : 0;
}

static int show_held(const struct feed *feed) {
	struct str held = {feed->think->held, feed->think->held_length};
	feed->think->held_length = 0;
	return show(feed, held);
}

static void hold(struct think *think, struct str bytes) {
	memcpy(think->held + think->held_length, bytes.data, bytes.length);
	think->held_length = (uint8_t)(think->held_length + bytes.length);
}

static void skip_space(struct feed *feed) {
	while (feed->rest.length > 0 && is_space(feed->rest.data[0])) {
		feed->rest = str_skip(feed->rest, 1);
	}
}

/* How much of the beginning of `tag` stands at the beginning of `text`. */
static size_t common(struct str text, struct str tag) {
	size_t length = 0;
	while (length < text.length && length < tag.length && text.data[length] == tag.data[length]) {
		length++;
	}
	return length;
}

/* The last bytes of `text` that are the first ones of `tag`, which repeats its first byte nowhere. */
static size_t tail(struct str text, struct str tag) {
	const char *last = text.length > 0 ? memrchr(text.data, tag.data[0], text.length) : NULL;
	if (!last) {
		return 0;
	}
	size_t length = text.length - (size_t)(last - text.data);
	return common((struct str){last, length}, tag) == length ? length : 0;
}

/* The beginning is held byte by byte: it is a few bytes, once an answer. */
static int feed_start(struct feed *feed) {
	struct think *think = feed->think;
	while (feed->rest.length > 0) {
		struct str held = {think->held, think->held_length};
		size_t space = 0;
		while (space < held.length && is_space(held.data[space])) {
			space++;
		}
		size_t matched = held.length - space;
		char c = feed->rest.data[0];
		bool more_space = matched == 0 && space < THINK_MAX_SPACE && is_space(c);
		if (!more_space && c != OPENING.data[matched]) {
			think->state = THINK_TEXT;
			return show_held(feed);
		}
		hold(think, (struct str){&c, 1});
		feed->rest = str_skip(feed->rest, 1);
		if (!more_space && matched + 1 == OPENING.length) {
			think->held_length = 0;
			think->state = THINK_OPENED;
			return 0;
		}
	}
	return 0;
}

/* Behind a start of the closing tag that an earlier piece ended with. */
static int feed_held(struct feed *feed) {
	struct think *think = feed->think;
	struct str wanted = str_skip(CLOSING, think->held_length);
	size_t matched = common(feed->rest, wanted);
	if (matched < wanted.length && matched < feed->rest.length) {
		return show_held(feed);
	}
	hold(think, (struct str){feed->rest.data, matched});
	feed->rest = str_skip(feed->rest, matched);
	if (matched == wanted.length) {
		think->held_length = 0;
		think->state = THINK_CLOSED;
	}
	return 0;
}

static int feed_block(struct feed *feed) {
	struct think *think = feed->think;
	if (think->held_length > 0) {
		return feed_held(feed);
	}
	struct str rest = feed->rest;
	const char *tag = memmem(rest.data, rest.length, CLOSING.data, CLOSING.length);
	size_t held = tag ? 0 : tail(rest, CLOSING);
	struct str shown = {rest.data, tag ? (size_t)(tag - rest.data) : rest.length - held};
	feed->rest = str_skip(rest, shown.length);
	if (show(feed, shown)) {
		return -1;
	}
	if (tag) {
		feed->rest = str_skip(feed->rest, CLOSING.length);
		think->state = THINK_CLOSED;
		return 0;
	}
	hold(think, feed->rest);
	feed->rest = STR_NONE;
	return 0;
}

static int feed_more(struct feed *feed) {
	switch (feed->think->state) {
	case THINK_START:
		return feed_start(feed);
	case THINK_OPENED:
	case THINK_CLOSED:
		skip_space(feed);
		if (feed->rest.length > 0) {
			feed->think->state = feed->think->state == THINK_OPENED ? THINK_BLOCK : THINK_TEXT;
		}
		return 0;
	case THINK_BLOCK:
		return feed_block(feed);
	default: {
		struct str rest = feed->rest;
		feed->rest = STR_NONE;
		return show(feed, rest);
	}
	}
}

int think_feed(struct think *think, struct str text, think_fn *each, void *owner) {
	struct feed feed = {.think = think, .rest = text, .each = each, .owner = owner};
	while (feed.rest.length > 0) {
		if (feed_more(&feed)) {
			return -1;
		}
	}
	return 0;
}

int think_end(struct think *think, think_fn *each, void *owner) {
	struct feed feed = {.think = think, .each = each, .owner = owner};
	if (think->state == THINK_START) {
		think->state = THINK_TEXT;
	}
	return show_held(&feed);
}
