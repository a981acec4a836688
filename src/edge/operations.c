#include "api.h"
#include "base/json.h"

static void write_upstreams(struct json_writer *w, const struct engine *engine) {
	struct upstream_state state;
	jw_key(w, "upstream");
	jw_text(w, engine_upstream_known(engine) ? "ok" : "unknown");
	jw_key(w, "upstreams");
	jw_array(w);
	for (size_t i = 0; engine_upstream_state(engine, i, &state); i++) {
		jw_object(w);
		jw_key(w, "name");
		jw_text(w, state.name);
		jw_key(w, "state");
		jw_text(w, upstream_health_name(state.health));
		jw_key(w, "models");
		jw_int(w, (int64_t)state.models);
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* `engine`: whose upstreams are shown; NULL: none. */
static void reply_state(struct exchange *exchange, int status, const char *state, const struct engine *engine) {
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	jw_object(&w);
	jw_key(&w, "status");
	jw_text(&w, state);
	if (engine) {
		write_upstreams(&w, engine);
	}
	jw_object_end(&w);
	reply_json(exchange, status, &body);
	buf_free(&body);
}

/* The process lives and its loop turns. */
void api_health(struct exchange *exchange) {
	reply_state(exchange, 200, "ok", NULL);
}

/* Whether to send traffic here. A model's server that can't be reached does not make us unready: transcripts can be read,
 * and another instance would fare no better. */
void api_ready(struct exchange *exchange) {
	struct edge *edge = exchange->edge;
	struct err err;
	const struct engine *engine = edge->deps.engine;
	if (edge->draining) {
		reply_state(exchange, 503, "draining", engine);
	} else if (conversations_health(edge->deps.conversations, &err)) {
		reply_state(exchange, 503, err.code == ERR_FULL ? "storage_full" : "storage_failed", engine);
	} else {
		reply_state(exchange, 200, engine_upstream_known(engine) ? "ok" : "degraded", engine);
	}
}

void api_metrics(struct exchange *exchange) {
	struct buf body = BUF_INIT;
	metrics_render(exchange->edge->deps.metrics, &body);
	reply_send(exchange, &(struct reply){.status = body.failed ? 503 : 200,
					     .type = "text/plain; version=0.0.4; charset=utf-8",
					     .body = buf_str(&body)});
	buf_free(&body);
}
