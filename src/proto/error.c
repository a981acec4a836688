#include "proto/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define API_ERROR_ROW(symbol, code_, status_, type_, cause_, cure_)                                                    \
	[API_##symbol] = {.code = (code_), .status = (status_), .type = (type_), .cause = (cause_), .cure = (cure_)},
static const struct api_error_row rows[API_ERROR_COUNT] = {API_ERRORS(API_ERROR_ROW)};
#undef API_ERROR_ROW

const struct api_error_row *api_error_row(enum api_error_code code) {
	/* A code that nobody set is a fault of ours, and the client is told so. */
	return &rows[code > API_OK && code < API_ERROR_COUNT ? code : API_INTERNAL];
}

enum api_error_code api_error_named(struct str name) {
	for (int code = API_OK + 1; code < API_ERROR_COUNT; code++) {
		if (str_is(name, rows[code].code)) {
			return (enum api_error_code)code;
		}
	}
	return API_OK;
}

int api_error_set(struct api_error *error, enum api_error_code code, const char *param, const char *format, ...) {
	*error = (struct api_error){.code = code, .retry_after_ms = -1};
	str_copy_cut(error->param, sizeof error->param, str_of(param));
	/* Room for one character more than is kept, so that the cut never splits it. */
	char text[sizeof error->message + 4];
	if (!format) {
		const struct api_error_row *row = api_error_row(code);
		snprintf(text, sizeof text, "%s %s", row->cause, row->cure);
		str_copy_cut(error->message, sizeof error->message, str_of(text));
		return -1;
	}
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	str_copy_cut(error->message, sizeof error->message, str_of(text));
	return -1;
}

/* Durations as OpenAI writes them: "350ms", "12s", "1m5s"; never less than the truth. */
static void duration_text(int64_t ms, char *text, size_t size) {
	if (ms < 1000) {
		snprintf(text, size, "%lldms", (long long)(ms < 0 ? 0 : ms));
		return;
	}
	long long seconds = ms / 1000 + (ms % 1000 != 0);
	if (seconds < 60) {
		snprintf(text, size, "%llds", seconds);
	} else {
		snprintf(text, size, "%lldm%llds", seconds / 60, seconds % 60);
	}
}

size_t api_limit_headers(const struct api_limit_state *state, struct api_header headers[static 3]) {
	if (!state->known) {
		return 0;
	}
	headers[0].name = "x-ratelimit-limit-requests";
	snprintf(headers[0].value, sizeof headers[0].value, "%u", state->limit);
	headers[1].name = "x-ratelimit-remaining-requests";
	snprintf(headers[1].value, sizeof headers[1].value, "%u", state->remaining);
	headers[2].name = "x-ratelimit-reset-requests";
	duration_text(state->reset_ms, headers[2].value, sizeof headers[2].value);
	return 3;
}

size_t api_error_headers(const struct api_error *error, struct api_header headers[static API_ERROR_HEADERS]) {
	size_t count = api_limit_headers(&error->requests, headers);
	if (error->code == API_IDEMPOTENCY_REUSED || error->code == API_IDEMPOTENCY_SPENT) {
		headers[count].name = "x-should-retry";
		snprintf(headers[count].value, sizeof headers[count].value, "false");
		count++;
	}
	if (error->retry_after_ms < 0) {
		return count;
	}
	int64_t ms = error->retry_after_ms;
	headers[count].name = "retry-after";
	snprintf(headers[count].value, sizeof headers[count].value, "%lld", (long long)(ms / 1000 + (ms % 1000 != 0)));
	count++;
	headers[count].name = "retry-after-ms";
	snprintf(headers[count].value, sizeof headers[count].value, "%lld", (long long)ms);
	return count + 1;
}

static void write_param(struct json_writer *w, const struct api_error *error) {
	jw_key(w, "param");
	jw_text(w, error->param[0] ? error->param : NULL);
}

void api_error_write_body(struct buf *out, const struct api_error *error) {
	const struct api_error_row *row = api_error_row(error->code);
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "error");
	jw_object(&w);
	jw_key(&w, "message");
	jw_text(&w, error->message);
	jw_key(&w, "type");
	jw_text(&w, row->type);
	write_param(&w, error);
	jw_key(&w, "code");
	jw_text(&w, row->code);
	jw_object_end(&w);
	jw_object_end(&w);
}

static void write_headers(struct json_writer *w, const struct api_header *headers, size_t count) {
	jw_key(w, "headers");
	jw_object(w);
	for (size_t i = 0; i < count; i++) {
		jw_key(w, headers[i].name);
		jw_text(w, headers[i].value);
	}
	jw_object_end(w);
}

void api_error_write_event(struct buf *out, const struct api_error *error) {
	const struct api_error_row *row = api_error_row(error->code);
	struct api_header headers[API_ERROR_HEADERS];
	size_t count = api_error_headers(error, headers);
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, "error");
	jw_key(&w, "status");
	jw_int(&w, row->status);
	jw_key(&w, "error");
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, row->type);
	jw_key(&w, "code");
	jw_text(&w, row->code);
	jw_key(&w, "message");
	jw_text(&w, error->message);
	write_param(&w, error);
	if (error->retry_after_ms >= 0) {
		jw_key(&w, "retry_after_ms");
		jw_int(&w, error->retry_after_ms);
	}
	if (count > 0) {
		write_headers(&w, headers, count);
	}
	jw_object_end(&w);
	/* The Open Responses payload has the headers inside the error; Codex reads them beside it. */
	if (count > 0) {
		write_headers(&w, headers, count);
	}
	jw_object_end(&w);
}
