#include "target.h"

#include <stdio.h>

#include "base/mem.h"

static int64_t now_ms(const struct target *target) {
	return clock_monotonic_us(target->clock) / 1000;
}

static void on_list(void *owner) {
	struct target *target = owner;
	vital_note_answer(target->vital);
}

/* Names are of [a-z0-9-]: nothing needs an escape. */
static void register_metrics(struct target *target, struct metrics *metrics) {
	char labels[UPSTREAM_NAME_SIZE + 64];
	snprintf(labels, sizeof labels, "upstream=\"%s\"", target->name);
	target->requests = metrics_counter(
		metrics, "sluice_upstream_requests_total", labels,
		"Requests sent to this upstream, further tries included, and repeats on a new connection.");
	target->opens = metrics_counter(metrics, "sluice_upstream_breaker_opens_total", labels,
					"How often this upstream failed so often that it was passed over.");
	struct gauge *up = metrics_state(metrics, "sluice_upstream_up", labels,
					 "1: this upstream has answered and is not being passed over.");
	vital_show_on(target->vital, up);
	for (enum upstream_error error = UPSTREAM_OK + 1; error < FAULT_COUNT; error++) {
		snprintf(labels, sizeof labels, "upstream=\"%s\",kind=\"%s\"", target->name, fault_kind(error));
		target->errors[error] =
			metrics_counter(metrics, "sluice_upstream_errors_total", labels, "Requests that failed.");
	}
}

static int fill(struct target *target, const struct upstream_options *options, struct multi *multi,
		const struct upstream_deps *deps, struct err *err) {
	const char *name = options->name ? options->name : "default";
	if (str_copy(target->name, sizeof target->name, str_of(name))) {
		return err_set(err, ERR_INVALID, "the upstream's name is too long");
	}
	target->options = *options;
	target->clock = deps->clock;
	target->vital = vitals_of(deps->vitals, target->number);
	vital_set_policy(target->vital, (struct breaker_policy){options->breaker_failures, options->breaker_pause_ms});
	log_child(&target->log, deps->log, "upstream", target->name);
	register_metrics(target, deps->metrics);
	const struct endpoint_deps endpoint_deps = {deps->loop, deps->clock, multi};
	target->endpoint = endpoint_new(options, &endpoint_deps, err);
	if (!target->endpoint) {
		return -1;
	}
	const struct models_deps models_deps = {target->endpoint, deps->clock, &target->log, on_list, target};
	target->models = models_new(&models_deps, options->models, err);
	return target->models ? 0 : -1;
}

struct target *target_new(const struct upstream_options *options, unsigned number, struct multi *multi,
			  const struct upstream_deps *deps, struct err *err) {
	struct target *target = mem_zalloc(sizeof *target);
	if (!target) {
		err_set(err, ERR_MEMORY, "no memory for an upstream");
		return NULL;
	}
	target->number = number;
	if (fill(target, options, multi, deps, err)) {
		target_free(&target);
	}
	return target;
}

void target_free(struct target **target) {
	struct target *old = *target;
	if (!old) {
		return;
	}
	*target = NULL;
	models_free(&old->models);
	endpoint_free(&old->endpoint);
	mem_free(old);
}

enum target_match target_match(const struct target *target, const char *model) {
	if (!models_known(target->models)) {
		return TARGET_MAY_HAVE;
	}
	return models_have(target->models, model) ? TARGET_HAS : TARGET_LACKS;
}

void target_describe(const struct target *target, const char *model, struct upstream_model *shown) {
	*shown = (struct upstream_model){
		.name = model,
		.upstream = target->name,
		.can = target->options.can,
		.context = target->options.context,
		.input_price = target->options.input_price,
		.output_price = target->options.output_price,
	};
}

bool target_lets(const struct target *target) {
	return vital_lets(target->vital, now_ms(target));
}

enum breaker_leave target_take(struct target *target) {
	enum breaker_leave leave = vital_take(target->vital, now_ms(target));
	if (leave == BREAKER_TRIAL) {
		log_info(&target->log, "upstream is probed");
	}
	return leave;
}

void target_answered(struct target *target) {
	if (vital_succeed(target->vital)) {
		log_info(&target->log, "upstream answers again");
	}
}

void target_count_error(struct target *target, enum upstream_error error) {
	counter_add(target->errors[error], 1);
}

void target_failed(struct target *target, enum upstream_error error, bool trial, uint64_t random) {
	target_count_error(target, error);
	if (!fault_is_servers(error)) {
		if (trial) {
			vital_abandon(target->vital);
		}
	} else if (vital_fail(target->vital, now_ms(target), random)) {
		counter_add(target->opens, 1);
		log_warn(&target->log, "upstream is passed over", LOG_S("error", upstream_error_name(error)),
			 LOG_I("pause_ms", target_wait_ms(target)));
	}
}

void target_abandon(struct target *target) {
	vital_abandon(target->vital);
}

int64_t target_wait_ms(const struct target *target) {
	return vital_wait_ms(target->vital, now_ms(target));
}

enum upstream_health target_health(const struct target *target) {
	return vital_health(target->vital);
}
