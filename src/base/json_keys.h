/* The keys of all objects of one document, to find duplicates in near-linear time whatever keys a stranger chooses.
 * Allocates nothing for a document of a few dozen plain keys. */
#ifndef SLUICE_BASE_JSON_KEYS_H
#define SLUICE_BASE_JSON_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define JSON_KEYS_FIRST_CAPACITY 64

struct json_key_slot {
	uint64_t hash;
	size_t start; /* in the document, or in `unescaped` */
	uint32_t length;
	uint32_t object : 31; /* the number of its object, from 1; 0: the slot is free */
	uint32_t escaped : 1; /* the key stands in `unescaped` */
};

struct json_keys {
	const char *document;
	struct buf unescaped;
	struct json_key_slot *slots; /* `first`, or allocated */
	size_t capacity;
	size_t count;
	struct json_key_slot first[JSON_KEYS_FIRST_CAPACITY];
};

/* `document` is borrowed until json_keys_free. */
void json_keys_init(struct json_keys *keys, const char *document);
void json_keys_free(struct json_keys *keys);

enum json_keys_result { JSON_KEYS_ADDED, JSON_KEYS_DUPLICATE, JSON_KEYS_NO_MEMORY };

/* Adds the key that stands at `raw`, a slice of the document without its quotes, whose escapes, if it has any, are
 * known to be valid. */
enum json_keys_result json_keys_add(struct json_keys *keys, uint32_t object, struct str raw, bool escaped);

#endif
