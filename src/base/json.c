#include "base/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <pthread.h>

#include "base/mem.h"
#include "json_gate.h"

static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;

static void set_hooks(void) {
	cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = mem_alloc, .free_fn = mem_free});
}

static const cJSON *tree(const struct json *value) {
	return (const cJSON *)value;
}

static struct json *parse(struct str text, size_t max_tokens, struct err *err) {
	if (json_gate(text, max_tokens, err) != 0) {
		return NULL;
	}
	pthread_once(&hooks_once, set_hooks);
	/* The library's ParseWithLength also notes the place of an error in a global, which is never read here. */
	cJSON *root = cJSON_ParseWithLength(text.data, text.length);
	if (!root) {
		/* All that the gate passes is JSON to cJSON too, so only memory can be missing. */
		err_set(err, ERR_MEMORY, "out of memory while reading JSON");
		return NULL;
	}
	return (struct json *)root;
}

struct json *json_parse(struct str text, struct err *err) {
	return parse(text, JSON_MAX_TOKENS, err);
}

struct json *json_parse_stored(struct str text, struct err *err) {
	return parse(text, SIZE_MAX, err);
}

void json_free(struct json **root) {
	cJSON_Delete((cJSON *)*root);
	*root = NULL;
}

enum json_type json_type(const struct json *value) {
	const cJSON *item = tree(value);
	if (cJSON_IsBool(item)) {
		return JSON_BOOL;
	}
	if (cJSON_IsNumber(item)) {
		return JSON_NUMBER;
	}
	if (cJSON_IsString(item)) {
		return JSON_STRING;
	}
	if (cJSON_IsArray(item)) {
		return JSON_ARRAY;
	}
	return cJSON_IsObject(item) ? JSON_OBJECT : JSON_NULL;
}

const char *json_type_name(enum json_type type) {
	switch (type) {
	case JSON_NULL:
		return "null";
	case JSON_BOOL:
		return "a boolean";
	case JSON_NUMBER:
		return "a number";
	case JSON_STRING:
		return "a string";
	case JSON_ARRAY:
		return "an array";
	case JSON_OBJECT:
		return "an object";
	}
	return "something unknown";
}

const struct json *json_get(const struct json *object, const char *key) {
	if (json_type(object) != JSON_OBJECT) {
		return NULL;
	}
	return (const struct json *)cJSON_GetObjectItemCaseSensitive(tree(object), key);
}

const struct json *json_first(const struct json *container) {
	return container ? (const struct json *)tree(container)->child : NULL;
}

const struct json *json_next(const struct json *child) {
	return child ? (const struct json *)tree(child)->next : NULL;
}

struct str json_key(const struct json *member) {
	return member ? str_of(tree(member)->string) : STR_NONE;
}

size_t json_count(const struct json *container) {
	size_t count = 0;
	for (const struct json *child = json_first(container); child; child = json_next(child)) {
		count++;
	}
	return count;
}

struct str json_str(const struct json *value) {
	return json_type(value) == JSON_STRING ? str_of(tree(value)->valuestring) : STR_NONE;
}

bool json_is_true(const struct json *value) {
	return cJSON_IsTrue(tree(value));
}

double json_number(const struct json *value) {
	return json_type(value) == JSON_NUMBER ? tree(value)->valuedouble : 0;
}

int json_integer(const struct json *value, int64_t *out) {
	double number = json_number(value);
	if (json_type(value) != JSON_NUMBER || fabs(number) > (double)JSON_INTEGER_MAX || number != trunc(number)) {
		return -1;
	}
	*out = (int64_t)number;
	return 0;
}

/* As deep as the gate let the tree become. */
static void print(const struct json *value, struct json_writer *w) {
	switch (json_type(value)) {
	case JSON_NULL:
		jw_null(w);
		break;
	case JSON_BOOL:
		jw_bool(w, json_is_true(value));
		break;
	case JSON_NUMBER:
		jw_double(w, json_number(value));
		break;
	case JSON_STRING:
		jw_str(w, json_str(value));
		break;
	case JSON_ARRAY:
		jw_array(w);
		for (const struct json *child = json_first(value); child; child = json_next(child)) {
			print(child, w);
		}
		jw_array_end(w);
		break;
	case JSON_OBJECT:
		jw_object(w);
		for (const struct json *child = json_first(value); child; child = json_next(child)) {
			jw_key_str(w, json_key(child));
			print(child, w);
		}
		jw_object_end(w);
		break;
	}
}

void json_print(const struct json *value, struct buf *out) {
	struct json_writer w = json_writer(out);
	print(value, &w);
}
