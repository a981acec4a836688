#include "lws_log.h"

#include "lws.h"

/* The one global of this layer that changes: libwebsockets 4.1 gives its emitter nothing to know its owner by. */
static struct log lws_log;

static void emit(int level, const char *line) {
	(void)level;
	struct str text = str_of(line);
	while (text.length > 0 && text.data[text.length - 1] == '\n') {
		text.length--;
	}
	log_debug(&lws_log, "libwebsockets", LOG_V("line", text));
}

void lws_log_route(const struct log *log) {
	bool wanted = log && log->sink && log->sink->level >= LOG_DEBUG;
	lws_log = wanted ? *log : (struct log){0};
	lws_set_log_level(wanted ? LLL_ERR | LLL_WARN : 0, emit);
}
