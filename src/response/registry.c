#include "registry.h"

static void on_turn(uv_idle_t *turn) {
	struct registry *registry = turn->data;
	struct list now;
	/* What is deferred meanwhile waits for the next turn, so that the loop gets to its sockets. */
	list_init(&now);
	while (!list_empty(&registry->queue)) {
		struct list *node = registry->queue.next;
		list_remove(node);
		list_append(&now, node);
	}
	while (!list_empty(&now)) {
		struct deferred *deferred = container_of(now.next, struct deferred, link);
		list_remove(&deferred->link);
		deferred->run(deferred);
	}
	if (list_empty(&registry->queue)) {
		uv_idle_stop(turn);
	}
}

void registry_defer(struct registry *registry, struct deferred *deferred, void (*run)(struct deferred *deferred)) {
	if (list_linked(&deferred->link)) {
		return;
	}
	deferred->run = run;
	list_append(&registry->queue, &deferred->link);
	uv_idle_start(registry->turn, on_turn);
}

void registry_undefer(struct deferred *deferred) {
	list_remove(&deferred->link);
}

int registry_add(struct registry *registry, const char *id, struct response *response) {
	if (map_put(registry->live, str_of(id), response)) {
		return -1;
	}
	gauge_set(registry->metrics.live, (int64_t)map_count(registry->live));
	return 0;
}

static void tell_idle(struct deferred *notice) {
	struct registry *registry = container_of(notice, struct registry, idle_notice);
	registry->idle(registry->idle_owner);
}

void registry_remove(struct registry *registry, const char *id) {
	map_remove(registry->live, str_of(id));
	gauge_set(registry->metrics.live, (int64_t)map_count(registry->live));
	registry_rest(registry);
}

void registry_rest(struct registry *registry) {
	if (map_count(registry->live) + map_count(registry->unsettled) == 0 && registry->idle) {
		registry_defer(registry, &registry->idle_notice, tell_idle);
	}
}

void registry_measure(struct registry *registry, struct metrics *metrics) {
	static const char *const labels[] = {"status=\"refused\"", "status=\"completed\"", "status=\"incomplete\"",
					     "status=\"failed\"", "status=\"cancelled\""};
	struct engine_metrics *m = &registry->metrics;
	m->live = metrics_gauge(metrics, "sluice_responses_live", NULL, "Responses in progress.");
	for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
		m->ended[i] = metrics_counter(metrics, "sluice_responses_total", labels[i],
					      "Responses that ended, by status.");
	}
	m->repeated = metrics_counter(metrics, "sluice_requests_repeated_total", NULL,
				      "Requests that got the answer of an earlier one with the same idempotency key.");
	m->deltas = metrics_counter(metrics, "sluice_deltas_total", NULL, "Text deltas appended to event logs.");
	m->first_text = metrics_histogram(metrics, "sluice_first_text_seconds", NULL,
					  "From a request's acceptance to its first text.");
	m->commit = metrics_histogram(metrics, "sluice_commit_seconds", NULL,
				      "From the upstream's end to the durable transcript.");
	m->cancel = metrics_histogram(metrics, "sluice_cancel_seconds", NULL,
				      "From a cancel to the closing of the upstream connection.");
	m->unsettled = metrics_gauge(metrics, "sluice_responses_unsettled", NULL,
				     "Responses that ended and whose end is not stored yet.");
	m->checkpoint_failures = metrics_counter(metrics, "sluice_checkpoint_failures_total", NULL,
						 "Checkpoints of streaming responses that could not be written.");
}
