/* What output text carries besides its words: citations and the probabilities of its tokens. */
#include "item_parts.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define BYTE_MAX 255
#define CITATION "url_citation"

static int read_index(const struct field *object, const char *name, int64_t *out) {
	struct field field = field_member(object, name);
	const char *wanted = "an integer of 0 or more";
	if (!field.value) {
		return field_missing(&field, wanted);
	}
	if (json_type(field.value) != JSON_NUMBER) {
		return field_wrong_type(&field, wanted);
	}
	return json_integer(field.value, out) != 0 || *out < 0 ? field_wrong_value(&field, wanted) : 0;
}

static int read_member_string(const struct field *object, const char *name, struct str *out) {
	struct field field = field_member(object, name);
	return field_string(&field, out);
}

static int check_citation_type(const struct field *citation) {
	static const char *const types[] = {CITATION};
	struct field type = field_member(citation, "type");
	size_t index;
	return field_choice(&type, types, COUNT(types), &index);
}

/* Every member is required, so that it can be written anew, always in the same order. */
static int read_citation_members(const struct field *citation, struct json_writer *w) {
	int64_t start = 0, end = 0;
	struct str url, title;
	if (read_member_string(citation, "url", &url) != 0 || read_index(citation, "start_index", &start) != 0 ||
	    read_index(citation, "end_index", &end) != 0 || read_member_string(citation, "title", &title) != 0) {
		return -1;
	}
	jw_object(w);
	jw_key(w, "type");
	jw_text(w, CITATION);
	jw_key(w, "url");
	jw_str(w, url);
	jw_key(w, "start_index");
	jw_int(w, start);
	jw_key(w, "end_index");
	jw_int(w, end);
	jw_key(w, "title");
	jw_str(w, title);
	jw_object_end(w);
	return 0;
}

static int read_citation(const struct field *citation, struct json_writer *w) {
	static const char *const names[] = {"type", "url", "start_index", "end_index", "title"};
	return field_object(citation, "an object", names, COUNT(names)) != 0 || check_citation_type(citation) != 0
		       ? -1
		       : read_citation_members(citation, w);
}

static int read_nested_citation(const struct field *citation, struct json_writer *w) {
	static const char *const outer[] = {"type", CITATION};
	static const char *const names[] = {"url", "start_index", "end_index", "title"};
	struct field inner = field_member(citation, CITATION);
	return field_object(citation, "an object", outer, COUNT(outer)) != 0 || check_citation_type(citation) != 0 ||
			       field_object(&inner, "an object", names, COUNT(names)) != 0
		       ? -1
		       : read_citation_members(&inner, w);
}

/* Chat Completions has null where a token is no text. */
static int check_bytes(const struct field *object) {
	struct field bytes = field_member(object, "bytes");
	if (!field_given(&bytes)) {
		return 0;
	}
	if (json_type(bytes.value) != JSON_ARRAY) {
		return field_wrong_type(&bytes, "an array of bytes");
	}
	size_t index = 0;
	for (const struct json *value = json_first(bytes.value); value; value = json_next(value), index++) {
		int64_t byte;
		if (json_integer(value, &byte) != 0 || byte < 0 || byte > BYTE_MAX) {
			struct field element = field_element(&bytes, index, value);
			return field_wrong_value(&element, "a byte: 0 to 255");
		}
	}
	return 0;
}

/* `count` of the names are allowed: a token among top_logprobs has none of its own. */
static int check_token(const struct field *token, size_t count) {
	static const char *const names[] = {"token", "logprob", "bytes", "top_logprobs"};
	struct str text;
	if (field_object(token, "an object with token and logprob", names, count) != 0 ||
	    read_member_string(token, "token", &text) != 0 || check_bytes(token) != 0) {
		return -1;
	}
	struct field logprob = field_member(token, "logprob");
	if (!logprob.value) {
		return field_missing(&logprob, "a number");
	}
	return json_type(logprob.value) == JSON_NUMBER ? 0 : field_wrong_type(&logprob, "a number");
}

static int read_logprob(const struct field *logprob, struct json_writer *w) {
	if (check_token(logprob, 4) != 0) {
		return -1;
	}
	struct field top = field_member(logprob, "top_logprobs");
	if (field_given(&top) && json_type(top.value) != JSON_ARRAY) {
		return field_wrong_type(&top, "an array");
	}
	size_t index = 0;
	for (const struct json *value = json_first(top.value); value; value = json_next(value), index++) {
		struct field token = field_element(&top, index, value);
		if (check_token(&token, 3) != 0) {
			return -1;
		}
	}
	/* An empty raw value sees to the comma. */
	jw_raw(w, STR_NONE);
	json_print(logprob->value, w->out);
	return 0;
}

/* Reads each element of the array and joins what was written of them. */
static int read_elements(const struct field *array, int (*read)(const struct field *, struct json_writer *),
			 char **out) {
	if (!field_given(array)) {
		return 0;
	}
	if (json_type(array->value) != JSON_ARRAY) {
		return field_wrong_type(array, "an array");
	}
	struct buf elements = BUF_INIT;
	struct json_writer w = json_writer(&elements);
	size_t index = 0;
	for (const struct json *value = json_first(array->value); value; value = json_next(value), index++) {
		struct field element = field_element(array, index, value);
		if (read(&element, &w) != 0) {
			buf_free(&elements);
			return -1;
		}
	}
	if (index == 0) {
		return 0;
	}
	*out = buf_take_text(&elements);
	return *out ? 0 : field_no_memory(array);
}

int part_read_annotations(const struct field *field, char **out) {
	return read_elements(field, read_citation, out);
}

int part_read_nested_annotations(const struct field *field, char **out) {
	return read_elements(field, read_nested_citation, out);
}

int part_read_logprobs(const struct field *field, char **out) {
	return read_elements(field, read_logprob, out);
}
