#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Longer than any text that is kept, so that the cut can be made between characters. */
#define SCRATCH_SIZE 512

int err_set(struct err *err, enum err_code code, const char *format, ...) {
	if (!err) {
		return -1;
	}
	/* Not in place, because an argument may be the text that stands there. */
	char text[SCRATCH_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	err->code = code;
	str_copy_cut(err->text, sizeof err->text, str_of(text));
	return -1;
}

int err_wrap(struct err *err, const char *format, ...) {
	if (!err) {
		return -1;
	}
	char text[SCRATCH_SIZE + sizeof err->text];
	va_list args;
	va_start(args, format);
	vsnprintf(text, SCRATCH_SIZE, format, args);
	va_end(args);
	size_t length = strlen(text);
	snprintf(text + length, sizeof text - length, ": %s", err->text);
	str_copy_cut(err->text, sizeof err->text, str_of(text));
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
