#include <string.h>

#include "base/mem.h"
#include "settings_parts.h"
#include "tool_parts.h"

/* --- memory --------------------------------------------------------------------------------------------------------- */

void request_settings_free(struct request_settings *settings) {
	mem_free(settings->instructions);
	mem_free(settings->metadata);
	mem_free(settings->chat_members);
	tool_list_free(&settings->tools);
	tool_choice_free(&settings->tool_choice);
	text_settings_free(&settings->text);
	*settings = (struct request_settings){0};
}

/* NULL stays NULL. */
static int copy_text(char **to, const char *from) {
	*to = mem_strdup(from);
	return from && !*to ? -1 : 0;
}

int request_settings_copy(struct request_settings *to, const struct request_settings *from) {
	struct request_settings copy = *from;
	/* What is owned is the copy's own, or nothing, from here on. */
	copy.instructions = copy.metadata = copy.chat_members = NULL;
	copy.tools = (struct tool_list){0};
	copy.tool_choice = (struct tool_choice){0};
	copy.text = (struct text_settings){0};
	if (copy_text(&copy.instructions, from->instructions) != 0 || copy_text(&copy.metadata, from->metadata) != 0 ||
	    copy_text(&copy.chat_members, from->chat_members) != 0 || tool_list_copy(&copy.tools, &from->tools) != 0 ||
	    tool_choice_copy(&copy.tool_choice, &from->tool_choice) != 0 ||
	    text_settings_copy(&copy.text, &from->text) != 0) {
		request_settings_free(&copy);
		return -1;
	}
	*to = copy;
	return 0;
}

/* --- members by their rows ------------------------------------------------------------------------------------------ */

static const double *number_of(const struct request_settings *settings, const struct number_row *row) {
	bool has = *(const bool *)((const char *)settings + row->has);
	return has ? (const double *)(const void *)((const char *)settings + row->value) : NULL;
}

static const int64_t *integer_of(const struct request_settings *settings, const struct integer_row *row) {
	bool has = *(const bool *)((const char *)settings + row->has);
	return has ? (const int64_t *)((const char *)settings + row->value) : NULL;
}

static const char *label_of(const struct request_settings *settings, const struct label_row *row) {
	const char *label = (const char *)settings + row->value;
	return label[0] ? label : NULL;
}

/* The members that are one number or text: all of them, or those that were said. */
static void write_scalars(struct json_writer *w, const struct request_settings *settings, bool full) {
	for (size_t i = 0; i < NUMBER_ROWS; i++) {
		const double *number = number_of(settings, &settings_numbers[i]);
		if (full || number) {
			jw_key(w, settings_numbers[i].name);
			jw_double(w, number ? *number : settings_numbers[i].neutral);
		}
	}
	for (size_t i = 0; i < INTEGER_ROWS; i++) {
		const int64_t *integer = integer_of(settings, &settings_integers[i]);
		if (integer) {
			jw_key(w, settings_integers[i].name);
			jw_int(w, *integer);
		} else if (full) {
			jw_key(w, settings_integers[i].name);
			jw_raw(w, str_of(settings_integers[i].neutral));
		}
	}
	for (size_t i = 0; i < LABEL_ROWS; i++) {
		const char *label = label_of(settings, &settings_labels[i]);
		if (full || label) {
			jw_key(w, settings_labels[i].name);
			jw_text(w, label);
		}
	}
}

/* --- stored --------------------------------------------------------------------------------------------------------- */

static void write_said_text(struct json_writer *w, const char *key, const char *text) {
	if (text && text[0]) {
		jw_key(w, key);
		jw_text(w, text);
	}
}

static void write_said_tools(struct json_writer *w, const struct request_settings *settings) {
	if (settings->tools.count > 0) {
		jw_key(w, "tools");
		tool_list_write_said(w, &settings->tools);
	}
	if (settings->tool_choice.said) {
		jw_key(w, "tool_choice");
		tool_choice_write_said(w, &settings->tool_choice);
	}
	if (settings->has_parallel_tool_calls) {
		jw_key(w, "parallel_tool_calls");
		jw_bool(w, settings->parallel_tool_calls);
	}
}

static void write_said_reasoning(struct json_writer *w, const struct request_settings *settings) {
	if (settings->effort[0] || settings->summary[0]) {
		jw_key(w, "reasoning");
		jw_object(w);
		write_said_text(w, "effort", settings->effort);
		write_said_text(w, "summary", settings->summary);
		jw_object_end(w);
	}
}

static void write_said_include(struct json_writer *w, const struct request_settings *settings) {
	if (!settings->includes_logprobs && !settings->includes_encrypted) {
		return;
	}
	jw_key(w, "include");
	jw_array(w);
	if (settings->includes_logprobs) {
		jw_text(w, "message.output_text.logprobs");
	}
	if (settings->includes_encrypted) {
		jw_text(w, "reasoning.encrypted_content");
	}
	jw_array_end(w);
}

void request_settings_write(struct buf *out, const struct request_settings *settings) {
	struct json_writer w = json_writer(out);
	jw_object(&w);
	write_said_text(&w, "model", settings->model);
	if (settings->instructions) {
		jw_key(&w, "instructions");
		jw_text(&w, settings->instructions);
	}
	if (settings->metadata) {
		jw_key(&w, "metadata");
		jw_raw(&w, str_of(settings->metadata));
	}
	write_scalars(&w, settings, false);
	write_said_tools(&w, settings);
	if (text_settings_said(&settings->text)) {
		jw_key(&w, "text");
		text_settings_write(&w, &settings->text, false);
	}
	write_said_reasoning(&w, settings);
	write_said_include(&w, settings);
	write_said_text(&w, "truncation", settings->truncates ? "auto" : NULL);
	write_said_text(&w, "service_tier", settings->service_tier);
	if (settings->background) {
		jw_key(&w, "background");
		jw_bool(&w, true);
	}
	if (!settings->store) {
		jw_key(&w, "store");
		jw_bool(&w, false);
	}
	jw_object_end(&w);
}

static int read_stored(const struct json *json, struct request_settings *settings, struct api_error *error) {
	struct field object = field_root("", json, error);
	if (json_type(json) != JSON_OBJECT) {
		return field_wrong_type(&object, "an object");
	}
	for (const struct json *value = json_first(json); value; value = json_next(value)) {
		struct field member = {.value = value, .error = error};
		bool known;
		if (settings_read_member(&member, json_key(value), settings, &known) != 0) {
			return -1;
		}
		if (!known) {
			return field_unknown(&object, json_key(value));
		}
	}
	return 0;
}

int request_settings_read(struct str text, struct request_settings *settings, struct err *err) {
	struct err parse = {0};
	struct json *json = json_parse_stored(text, &parse);
	struct request_settings made = {.store = true};
	struct api_error error = {0};
	int result = json ? read_stored(json, &made, &error) : -1;
	json_free(&json);
	if (result != 0) {
		request_settings_free(&made);
		return parse.code == ERR_MEMORY || error.code == API_OVERLOADED
			       ? err_set(err, ERR_MEMORY, "out of memory while reading request settings")
			       : err_set(err, ERR_CORRUPT, "stored request settings do not read");
	}
	*settings = made;
	return 0;
}

/* --- shown ---------------------------------------------------------------------------------------------------------- */

static void echo_reasoning(struct json_writer *w, const struct request_settings *settings) {
	jw_key(w, "reasoning");
	if (!settings->effort[0] && !settings->summary[0]) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_key(w, "effort");
	jw_text(w, settings->effort[0] ? settings->effort : NULL);
	jw_key(w, "summary");
	jw_text(w, settings->summary[0] ? settings->summary : NULL);
	jw_object_end(w);
}

const char *settings_shown_tier(const struct request_settings *settings) {
	bool unsaid = !settings->service_tier[0] || strcmp(settings->service_tier, "auto") == 0;
	return unsaid ? "default" : settings->service_tier;
}

void request_settings_echo(struct json_writer *w, const struct request_settings *settings) {
	jw_key(w, "instructions");
	jw_text(w, settings->instructions);
	jw_key(w, "metadata");
	jw_raw(w, settings->metadata ? str_of(settings->metadata) : STR("{}"));
	write_scalars(w, settings, true);
	jw_key(w, "tools");
	tool_list_write(w, &settings->tools);
	jw_key(w, "tool_choice");
	tool_choice_write(w, &settings->tool_choice);
	jw_key(w, "parallel_tool_calls");
	jw_bool(w, settings->parallel_tool_calls || !settings->has_parallel_tool_calls);
	jw_key(w, "text");
	text_settings_write(w, &settings->text, true);
	echo_reasoning(w, settings);
	jw_key(w, "truncation");
	jw_text(w, settings->truncates ? "auto" : "disabled");
	jw_key(w, "service_tier");
	jw_text(w, settings_shown_tier(settings));
	jw_key(w, "background");
	jw_bool(w, settings->background);
	jw_key(w, "store");
	jw_bool(w, settings->store);
}
