#include "failure.h"

#include <string.h>

static enum api_error_code upstream_code(enum upstream_error error) {
	switch (error) {
	case UPSTREAM_RATE_LIMITED:
		return API_UPSTREAM_RATE_LIMITED;
	case UPSTREAM_REJECTED:
	case UPSTREAM_UNABLE:
		return API_UPSTREAM_REJECTED;
	case UPSTREAM_TIMEOUT:
	case UPSTREAM_STALLED:
		return API_UPSTREAM_TIMEOUT;
	case UPSTREAM_MEMORY:
		return API_OVERLOADED;
	default:
		return API_UPSTREAM_FAILED;
	}
}

/* llama.cpp, vLLM and OpenAI say it with different words. */
static bool is_too_large(const struct upstream_outcome *outcome) {
	static const char *const codes[] = {"context_length_exceeded", "exceed_context_size_error"};
	static const char *const words[] = {"maximum context length", "exceeds the available context size",
					    "context length"};
	bool found = false;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		found = found || strcmp(outcome->code, codes[i]) == 0;
	}
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		found = found || strstr(outcome->text, words[i]);
	}
	return outcome->error == UPSTREAM_REJECTED && found;
}

void failure_of_upstream(const struct upstream_outcome *outcome, struct api_error *error) {
	if (is_too_large(outcome)) {
		api_error_set(error, API_CONTEXT_TOO_LARGE, "input",
			      "%s. truncation \"auto\" leaves the oldest turns out.", outcome->text);
		return;
	}
	api_error_set(error, upstream_code(outcome->error), NULL, "%s (%s)", outcome->text,
		      upstream_error_name(outcome->error));
	error->retry_after_ms = outcome->retry_after_ms;
}

void failure_of_store(const struct err *err, struct api_error *error) {
	switch (err->code) {
	case ERR_CONFLICT:
	case ERR_NOT_FOUND:
		/* The conversation that it was to go on was deleted after it had been read. */
		api_error_set(error, API_PARENT_NOT_FOUND, "previous_response_id", NULL);
		return;
	case ERR_LIMIT:
		api_error_set(error, API_CONTEXT_TOO_LARGE, "input", NULL);
		return;
	case ERR_FULL:
		api_error_set(error, API_STORAGE_FULL, NULL, NULL);
		return;
	case ERR_OUTCOME_UNKNOWN:
		api_error_set(error, API_STORAGE_UNKNOWN, NULL, NULL);
		return;
	case ERR_MEMORY:
		api_error_set(error, API_OVERLOADED, NULL, NULL);
		return;
	default:
		api_error_set(error, API_STORAGE_FAILED, NULL, NULL);
	}
}

void failure_of_parent(const struct err *err, const char *parent, struct api_error *error) {
	static const char field[] = "previous_response_id";
	switch (err->code) {
	case ERR_NOT_FOUND:
		api_error_set(error, API_PARENT_NOT_FOUND, field, "Previous response with id '%s' not found.", parent);
		return;
	case ERR_CONFLICT:
		api_error_set(error, API_PARENT_NOT_READY, field, "Previous response '%s' is still in progress.",
			      parent);
		return;
	default:
		failure_of_store(err, error);
	}
}

void failure_of_conversation(const struct err *err, const char *conversation, struct api_error *error) {
	switch (err->code) {
	case ERR_NOT_FOUND:
		api_error_set(error, API_CONVERSATION_NOT_FOUND, "conversation", "Conversation with id '%s' not found.",
			      conversation);
		return;
	case ERR_CONFLICT:
		api_error_set(error, API_CONVERSATION_LOCKED, "conversation",
			      "A response is still in progress in conversation '%s'.", conversation);
		return;
	default:
		failure_of_store(err, error);
	}
}

void failure_of_response(const struct err *err, struct api_error *error) {
	if (err->code == ERR_NOT_FOUND) {
		api_error_set(error, API_RESPONSE_NOT_FOUND, "response_id", NULL);
	} else if (err->code == ERR_CONFLICT) {
		api_error_set(error, API_RESPONSE_NOT_ACTIVE, "response_id", NULL);
	} else {
		failure_of_store(err, error);
	}
}

void failure_past_the_end(uint32_t count, struct api_error *error) {
	api_error_set(error, API_INVALID_VALUE, "starting_after",
		      "starting_after must be the number of an event that was sent: at most %lld so far.",
		      (long long)count - 1);
}
