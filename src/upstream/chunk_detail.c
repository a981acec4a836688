#include "chunk_detail.h"

#include "base/str.h"

static bool is_byte(const struct json *value, int64_t *byte) {
	return json_integer(value, byte) == 0 && *byte >= 0 && *byte <= 255;
}

static void write_bytes(struct json_writer *w, const struct json *bytes, struct str token) {
	jw_key(w, "bytes");
	jw_array(w);
	if (json_type(bytes) == JSON_ARRAY) {
		int64_t byte;
		for (const struct json *item = json_first(bytes); item; item = json_next(item)) {
			if (is_byte(item, &byte)) {
				jw_int(w, byte);
			}
		}
	} else {
		for (size_t i = 0; i < token.length; i++) {
			jw_int(w, (unsigned char)token.data[i]);
		}
	}
	jw_array_end(w);
}

static bool is_logprob(const struct json *value) {
	return json_type(json_get(value, "token")) == JSON_STRING &&
	       json_type(json_get(value, "logprob")) == JSON_NUMBER;
}

/* What a token and its alternatives have in common; the object is left open. */
static void write_token(struct json_writer *w, const struct json *value) {
	struct str token = json_str(json_get(value, "token"));
	jw_object(w);
	jw_key(w, "token");
	jw_str(w, token);
	jw_key(w, "logprob");
	jw_double(w, json_number(json_get(value, "logprob")));
	write_bytes(w, json_get(value, "bytes"), token);
}

static void write_logprob(struct json_writer *w, const struct json *value) {
	const struct json *tops = json_get(value, "top_logprobs");
	write_token(w, value);
	jw_key(w, "top_logprobs");
	jw_array(w);
	bool listed = json_type(tops) == JSON_ARRAY;
	for (const struct json *top = listed ? json_first(tops) : NULL; top; top = json_next(top)) {
		if (is_logprob(top)) {
			write_token(w, top);
			jw_object_end(w);
		}
	}
	jw_array_end(w);
	jw_object_end(w);
}

void detail_logprobs(const struct json *content, struct buf *out) {
	if (json_type(content) != JSON_ARRAY) {
		return;
	}
	struct json_writer w = json_writer(out);
	w.comma = out->length > 0;
	for (const struct json *value = json_first(content); value; value = json_next(value)) {
		if (is_logprob(value)) {
			write_logprob(&w, value);
		}
	}
}

static int64_t index_of(const struct json *citation, const char *key) {
	int64_t index;
	return json_integer(json_get(citation, key), &index) == 0 && index >= 0 ? index : 0;
}

bool detail_annotation(const struct json *annotation, struct buf *out) {
	if (!str_is(json_str(json_get(annotation, "type")), "url_citation")) {
		return false;
	}
	const struct json *nested = json_get(annotation, "url_citation");
	const struct json *citation = json_type(nested) == JSON_OBJECT ? nested : annotation;
	struct str url = json_str(json_get(citation, "url"));
	if (url.length == 0) {
		return false;
	}
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, "url_citation");
	jw_key(&w, "url");
	jw_str(&w, url);
	jw_key(&w, "start_index");
	jw_int(&w, index_of(citation, "start_index"));
	jw_key(&w, "end_index");
	jw_int(&w, index_of(citation, "end_index"));
	jw_key(&w, "title");
	jw_str(&w, json_str(json_get(citation, "title")));
	jw_object_end(&w);
	return true;
}

void detail_tier(struct str said, char tier[static CHAT_TIER_SIZE]) {
	tier[0] = '\0';
	for (size_t i = 0; i < said.length; i++) {
		if ((said.data[i] < 'a' || said.data[i] > 'z') && said.data[i] != '_') {
			return;
		}
	}
	str_copy(tier, CHAT_TIER_SIZE, said);
}
