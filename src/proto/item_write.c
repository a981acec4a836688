/* Items and their parts as the API shows them. */
#include "item_parts.h"

static struct str text_of(const struct part *part) {
	return (struct str){part->text, part->length};
}

/* --- parts ---------------------------------------------------------------------------------------------------------- */

static void write_elements(struct json_writer *w, const char *key, const char *elements) {
	jw_key(w, key);
	jw_array(w);
	if (elements) {
		jw_raw(w, str_of(elements));
	}
	jw_array_end(w);
}

/* The members behind `type`. */
static void write_members(struct json_writer *w, const struct part *part, struct str text) {
	switch (part->kind) {
	case PART_REFUSAL:
		jw_key(w, "refusal");
		jw_str(w, text);
		break;
	case PART_INPUT_IMAGE:
		jw_key(w, "image_url");
		jw_str(w, text);
		jw_key(w, "detail");
		jw_text(w, part->detail ? part->detail : "auto");
		break;
	case PART_INPUT_FILE:
		if (part->filename) {
			jw_key(w, "filename");
			jw_text(w, part->filename);
		}
		jw_key(w, "file_data");
		jw_str(w, text);
		break;
	case PART_INPUT_VIDEO:
		jw_key(w, "video_url");
		jw_str(w, text);
		break;
	default:
		jw_key(w, "text");
		jw_str(w, text);
	}
}

void part_write(struct buf *out, const struct part *part, bool empty) {
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, item_part_name(part->kind));
	write_members(&w, part, empty ? STR_NONE : text_of(part));
	if (part->kind == PART_OUTPUT_TEXT) {
		write_elements(&w, "annotations", empty ? NULL : part->annotations);
		write_elements(&w, "logprobs", empty ? NULL : part->logprobs);
	}
	jw_object_end(&w);
}

static bool in_summary(enum part_kind kind) {
	return kind == PART_SUMMARY_TEXT;
}

static bool in_content(enum part_kind kind) {
	return kind != PART_SUMMARY_TEXT && kind < PART_ENCRYPTED;
}

static void write_parts(struct json_writer *w, const char *key, const struct item *item, bool (*fits)(enum part_kind)) {
	jw_key(w, key);
	jw_array(w);
	for (size_t i = 0; item && i < item->part_count; i++) {
		if (fits(item->parts[i].kind)) {
			/* An empty raw value sees to the comma. */
			jw_raw(w, STR_NONE);
			part_write(w->out, &item->parts[i], false);
		}
	}
	jw_array_end(w);
}

static void write_text(struct json_writer *w, const char *key, const struct part *part) {
	jw_key(w, key);
	jw_str(w, part ? text_of(part) : STR(""));
}

/* --- items ---------------------------------------------------------------------------------------------------------- */

static void write_message(struct json_writer *w, const struct item *item, const struct item *shown) {
	jw_key(w, "role");
	jw_text(w, item_role_name(item->role));
	write_parts(w, "content", shown, in_content);
	if (item->phase != PHASE_NONE) {
		jw_key(w, "phase");
		jw_text(w, item_phase_names[item->phase]);
	}
}

static void write_call(struct json_writer *w, const struct item *item, const struct item *shown) {
	jw_key(w, "call_id");
	jw_text(w, item->call_id);
	jw_key(w, "name");
	jw_text(w, item->name);
	write_text(w, "arguments", shown ? item_part(shown, PART_ARGUMENTS) : NULL);
}

static void write_output(struct json_writer *w, const struct item *item, const struct item *shown) {
	jw_key(w, "call_id");
	jw_text(w, item->call_id);
	const struct part *text = shown ? item_part(shown, PART_OUTPUT) : NULL;
	if (text) {
		write_text(w, "output", text);
	} else {
		write_parts(w, "output", shown, in_content);
	}
}

static void write_reasoning(struct json_writer *w, const struct item *shown) {
	write_parts(w, "summary", shown, in_summary);
	write_parts(w, "content", shown, in_content);
	const struct part *encrypted = shown ? item_part(shown, PART_ENCRYPTED) : NULL;
	if (encrypted) {
		write_text(w, "encrypted_content", encrypted);
	}
}

/* `shown` is where the text comes from: the item, or NULL. */
static void write(struct buf *out, const struct item *item, const struct item *shown, enum item_status status) {
	if (item->kind == ITEM_EXTENSION) {
		buf_append_str(out, text_of(&item->parts[0]));
		return;
	}
	struct json_writer w = json_writer(out);
	jw_object(&w);
	jw_key(&w, "type");
	jw_text(&w, item_kind_name(item->kind));
	jw_key(&w, "id");
	jw_text(&w, item->id);
	if (item->kind <= ITEM_FUNCTION_CALL_OUTPUT) {
		jw_key(&w, "status");
		jw_text(&w, item_status_name(status));
	}
	switch (item->kind) {
	case ITEM_MESSAGE:
		write_message(&w, item, shown);
		break;
	case ITEM_FUNCTION_CALL:
		write_call(&w, item, shown);
		break;
	case ITEM_FUNCTION_CALL_OUTPUT:
		write_output(&w, item, shown);
		break;
	case ITEM_REASONING:
		write_reasoning(&w, shown);
		break;
	case ITEM_COMPACTION:
		write_text(&w, "encrypted_content", shown ? item_part(shown, PART_ENCRYPTED) : NULL);
		break;
	case ITEM_REFERENCE:
	case ITEM_EXTENSION:
		break;
	}
	jw_object_end(&w);
}

void item_write(struct buf *out, const struct item *item) {
	write(out, item, item, item->status);
}

void item_write_opened(struct buf *out, const struct item *item) {
	write(out, item, NULL, ITEM_IN_PROGRESS);
}
