#include <string.h>

#include "base/mem.h"
#include "proto/request.h"

void request_settings_free(struct request_settings *settings) {
	mem_free(settings->instructions);
	mem_free(settings->metadata);
	*settings = (struct request_settings){0};
}

int request_settings_copy(struct request_settings *to, const struct request_settings *from) {
	struct request_settings copy = *from;
	copy.instructions = mem_strdup(from->instructions);
	copy.metadata = mem_strdup(from->metadata);
	if ((from->instructions && !copy.instructions) || (from->metadata && !copy.metadata)) {
		request_settings_free(&copy);
		return -1;
	}
	*to = copy;
	return 0;
}

void request_settings_write(struct buf *out, const struct request_settings *settings) {
	struct json_writer w = json_writer(out);
	jw_object(&w);
	if (settings->model[0]) {
		jw_key(&w, "model");
		jw_text(&w, settings->model);
	}
	if (settings->instructions) {
		jw_key(&w, "instructions");
		jw_text(&w, settings->instructions);
	}
	if (settings->metadata) {
		jw_key(&w, "metadata");
		jw_raw(&w, str_of(settings->metadata));
	}
	if (settings->has_temperature) {
		jw_key(&w, "temperature");
		jw_double(&w, settings->temperature);
	}
	if (settings->has_top_p) {
		jw_key(&w, "top_p");
		jw_double(&w, settings->top_p);
	}
	if (settings->has_max_output_tokens) {
		jw_key(&w, "max_output_tokens");
		jw_int(&w, settings->max_output_tokens);
	}
	jw_key(&w, "store");
	jw_bool(&w, settings->store);
	jw_object_end(&w);
}

/* 0 when the member is absent or was read. */
static int read_number(const struct json *json, const char *key, bool *has, double *out) {
	const struct json *value = json_get(json, key);
	if (!value) {
		return 0;
	}
	*has = true;
	*out = json_number(value);
	return json_type(value) == JSON_NUMBER ? 0 : -1;
}

static int read_text(const struct json *json, const char *key, char **out) {
	const struct json *value = json_get(json, key);
	if (!value) {
		return 0;
	}
	if (json_type(value) != JSON_STRING) {
		return -1;
	}
	struct str text = json_str(value);
	*out = mem_memdup_str(text.data, text.length);
	return *out ? 0 : -1;
}

static int read_metadata(const struct json *json, char **out) {
	const struct json *value = json_get(json, "metadata");
	if (!value) {
		return 0;
	}
	if (json_type(value) != JSON_OBJECT) {
		return -1;
	}
	struct buf printed = BUF_INIT;
	json_print(value, &printed);
	*out = buf_take_text(&printed);
	return *out ? 0 : -1;
}

static int read_all(const struct json *json, struct request_settings *settings) {
	const struct json *model = json_get(json, "model");
	if (model && (json_type(model) != JSON_STRING ||
		      str_copy(settings->model, sizeof settings->model, json_str(model)) != 0)) {
		return -1;
	}
	const struct json *limit = json_get(json, "max_output_tokens");
	settings->has_max_output_tokens = limit != NULL;
	if (limit && json_integer(limit, &settings->max_output_tokens) != 0) {
		return -1;
	}
	const struct json *store = json_get(json, "store");
	settings->store = json_is_true(store);
	if (json_type(store) != JSON_BOOL ||
	    read_number(json, "temperature", &settings->has_temperature, &settings->temperature) != 0 ||
	    read_number(json, "top_p", &settings->has_top_p, &settings->top_p) != 0 ||
	    read_text(json, "instructions", &settings->instructions) != 0) {
		return -1;
	}
	return read_metadata(json, &settings->metadata);
}

int request_settings_read(struct str text, struct request_settings *settings, struct err *err) {
	struct json *json = json_parse(text, NULL);
	struct request_settings made = {0};
	int result = json_type(json) == JSON_OBJECT ? read_all(json, &made) : -1;
	json_free(&json);
	if (result != 0) {
		request_settings_free(&made);
		return err_set(err, ERR_CORRUPT, "stored request settings do not read");
	}
	*settings = made;
	return 0;
}

static void write_number_or(struct json_writer *w, const char *key, bool has, double value) {
	jw_key(w, key);
	jw_double(w, has ? value : 1);
}

void request_settings_echo(struct json_writer *w, const struct request_settings *settings) {
	jw_key(w, "instructions");
	jw_text(w, settings->instructions);
	jw_key(w, "max_output_tokens");
	if (settings->has_max_output_tokens) {
		jw_int(w, settings->max_output_tokens);
	} else {
		jw_null(w);
	}
	write_number_or(w, "temperature", settings->has_temperature, settings->temperature);
	write_number_or(w, "top_p", settings->has_top_p, settings->top_p);
	jw_key(w, "store");
	jw_bool(w, settings->store);
	jw_key(w, "metadata");
	jw_raw(w, settings->metadata ? str_of(settings->metadata) : STR("{}"));
	/* What ResponseResource requires and a request of this version can't change (see request.c). */
	static const char fixed[] = ",\"tools\":[],\"tool_choice\":\"auto\",\"parallel_tool_calls\":true"
				    ",\"max_tool_calls\":null,\"truncation\":\"disabled\""
				    ",\"text\":{\"format\":{\"type\":\"text\"}},\"reasoning\":null"
				    ",\"presence_penalty\":0,\"frequency_penalty\":0,\"top_logprobs\":0"
				    ",\"background\":false,\"service_tier\":\"default\""
				    ",\"safety_identifier\":null,\"prompt_cache_key\":null";
	buf_append(w->out, fixed, sizeof fixed - 1);
}
