#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, enum err_code code, const char *format, ...) {
	if (!err) {
		return -1;
	}
	/* Through a copy, because an argument may be the text that stands there. */
	struct err fresh = {.code = code};
	va_list args;
	va_start(args, format);
	vsnprintf(fresh.text, sizeof fresh.text, format, args);
	va_end(args);
	*err = fresh;
	return -1;
}

int err_wrap(struct err *err, const char *format, ...) {
	if (!err) {
		return -1;
	}
	char inner[sizeof err->text];
	memcpy(inner, err->text, sizeof inner);

	va_list args;
	va_start(args, format);
	int length = vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);

	if (length >= 0 && (size_t)length < sizeof err->text) {
		snprintf(err->text + length, sizeof err->text - (size_t)length, ": %s", inner);
	}
	return -1;
}

const char *err_code_name(enum err_code code) {
	switch (code) {
	case ERR_NONE:
		return "none";
	case ERR_INVALID:
		return "invalid";
	case ERR_NOT_FOUND:
		return "not_found";
	case ERR_CONFLICT:
		return "conflict";
	case ERR_DENIED:
		return "denied";
	case ERR_LIMIT:
		return "limit";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_IO:
		return "io";
	case ERR_FULL:
		return "full";
	case ERR_CORRUPT:
		return "corrupt";
	case ERR_OUTCOME_UNKNOWN:
		return "outcome_unknown";
	case ERR_MEMORY:
		return "memory";
	}
	return "unknown";
}
