#include "api.h"
#include "base/json.h"

static void reply_state(struct exchange *exchange, int status, const char *state, const char *upstream) {
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	jw_object(&w);
	jw_key(&w, "status");
	jw_text(&w, state);
	if (upstream) {
		jw_key(&w, "upstream");
		jw_text(&w, upstream);
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
	const char *upstream = engine_upstream_known(edge->deps.engine) ? "ok" : "unknown";
	if (edge->draining) {
		reply_state(exchange, 503, "draining", upstream);
	} else if (conversations_health(edge->deps.conversations, &err)) {
		reply_state(exchange, 503, err.code == ERR_FULL ? "storage_full" : "storage_failed", upstream);
	} else {
		reply_state(exchange, 200, engine_upstream_known(edge->deps.engine) ? "ok" : "degraded", upstream);
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
