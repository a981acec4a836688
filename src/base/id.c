#include "base/id.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"

#define TIME_DIGITS 12
#define RANDOM_BYTES 14
#define DIGITS (TIME_DIGITS + 2 * RANDOM_BYTES)
#define PREFIX_MAX 16

void id_make(char id[static ID_SIZE], const char *prefix, int64_t wall_ms) {
	uint8_t random[RANDOM_BYTES];
	random_bytes(random, sizeof random);

	uint64_t time = wall_ms > 0 ? (uint64_t)wall_ms & UINT64_C(0xFFFFFFFFFFFF) : 0;
	int length = snprintf(id, ID_SIZE, "%.*s_%012llx", PREFIX_MAX, prefix, (unsigned long long)time);
	str_to_hex(id + length, random, sizeof random);
}

static bool is_lower_hex(char c) {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool id_is(struct str s, const char *prefix) {
	if (!str_starts(s, prefix)) {
		return false;
	}
	struct str rest = str_skip(s, strlen(prefix));
	if (rest.length != 1 + DIGITS || rest.data[0] != '_') {
		return false;
	}
	for (size_t i = 1; i < rest.length; i++) {
		if (!is_lower_hex(rest.data[i])) {
			return false;
		}
	}
	return true;
}

static bool is_id_char(char c) {
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

int id_copy(char id[static ID_SIZE], struct str from) {
	if (from.length == 0 || from.length >= ID_SIZE) {
		return -1;
	}
	for (size_t i = 0; i < from.length; i++) {
		if (!is_id_char(from.data[i])) {
			return -1;
		}
	}
	return str_copy(id, ID_SIZE, from);
}
