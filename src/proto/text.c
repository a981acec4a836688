/* What form the model's text is to have. */
#include "base/mem.h"
#include "settings_parts.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const format_names[] = {
	[TEXT_PLAIN] = "text", [TEXT_JSON_OBJECT] = "json_object", [TEXT_JSON_SCHEMA] = "json_schema"};

void text_settings_free(struct text_settings *text) {
	mem_free(text->description);
	mem_free(text->schema);
	*text = (struct text_settings){0};
}

int text_settings_copy(struct text_settings *to, const struct text_settings *from) {
	struct text_settings copy = *from;
	copy.description = mem_strdup(from->description);
	copy.schema = mem_strdup(from->schema);
	if ((from->description && !copy.description) || (from->schema && !copy.schema)) {
		text_settings_free(&copy);
		return -1;
	}
	*to = copy;
	return 0;
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

int text_settings_read_schema(const struct field *format, struct text_settings *text) {
	struct field name = field_member(format, "name");
	struct field description = field_member(format, "description");
	struct field schema = field_member(format, "schema");
	struct field strict = field_member(format, "strict");
	if ((field_given(&name) && field_name(&name, text->name) != 0) ||
	    (field_given(&description) && field_copy_string(&description, &text->description) != 0) ||
	    (field_given(&strict) && field_bool(&strict, &text->strict) != 0)) {
		return -1;
	}
	if (!field_given(&schema)) {
		return 0;
	}
	return json_type(schema.value) == JSON_OBJECT ? field_copy_json(&schema, &text->schema)
						      : field_wrong_type(&schema, "an object: a JSON schema");
}

static int read_format(const struct field *format, struct text_settings *text) {
	static const char *const names[] = {"type", "name", "description", "schema", "strict"};
	const char *wanted = "an object with a type";
	size_t index;
	if (json_type(format->value) != JSON_OBJECT) {
		return field_wrong_type(format, wanted);
	}
	struct field type = field_member(format, "type");
	if (field_choice(&type, format_names, COUNT(format_names), &index) != 0) {
		return -1;
	}
	text->format = (enum text_format)index;
	bool has_schema = text->format == TEXT_JSON_SCHEMA;
	/* The other formats have nothing but their type. */
	if (field_object(format, wanted, names, has_schema ? COUNT(names) : 1) != 0) {
		return -1;
	}
	return has_schema ? text_settings_read_schema(format, text) : 0;
}

int text_settings_read_verbosity(const struct field *verbosity, struct text_settings *text) {
	static const char *const names[] = {"low", "medium", "high"};
	size_t index;
	if (field_choice(verbosity, names, COUNT(names), &index) != 0) {
		return -1;
	}
	return str_copy(text->verbosity, sizeof text->verbosity, str_of(names[index]));
}

int text_settings_read(const struct field *field, struct text_settings *text) {
	static const char *const names[] = {"format", "verbosity"};
	struct field format = field_member(field, "format");
	struct field verbosity = field_member(field, "verbosity");
	struct text_settings made = {0};
	if (field_object(field, "an object", names, COUNT(names)) != 0 ||
	    (field_given(&format) && read_format(&format, &made) != 0) ||
	    (field_given(&verbosity) && text_settings_read_verbosity(&verbosity, &made) != 0)) {
		text_settings_free(&made);
		return -1;
	}
	*text = made;
	return 0;
}

/* --- writing -------------------------------------------------------------------------------------------------------- */

static void write_schema(struct json_writer *w, const struct text_settings *text, bool full) {
	if (full || text->name[0]) {
		jw_key(w, "name");
		jw_text(w, text->name);
	}
	if (full || text->description) {
		jw_key(w, "description");
		jw_text(w, text->description);
	}
	if (full || text->schema) {
		jw_key(w, "schema");
		jw_raw(w, text->schema ? str_of(text->schema) : STR("null"));
	}
	if (full || text->strict) {
		jw_key(w, "strict");
		jw_bool(w, text->strict);
	}
}

void text_settings_write(struct json_writer *w, const struct text_settings *text, bool full) {
	jw_object(w);
	if (full || text->format != TEXT_PLAIN) {
		jw_key(w, "format");
		jw_object(w);
		jw_key(w, "type");
		jw_text(w, format_names[text->format]);
		if (text->format == TEXT_JSON_SCHEMA) {
			write_schema(w, text, full);
		}
		jw_object_end(w);
	}
	if (text->verbosity[0]) {
		jw_key(w, "verbosity");
		jw_text(w, text->verbosity);
	}
	jw_object_end(w);
}

bool text_settings_said(const struct text_settings *text) {
	return text->format != TEXT_PLAIN || text->verbosity[0];
}
