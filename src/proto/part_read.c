/* Content parts: what may stand where, and what each consists of. */
#include <stdio.h>

#include "base/base64.h"
#include "base/mem.h"
#include "item_parts.h"
#include "proto/file.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Open Responses' maxLength of them, in characters. */
#define IMAGE_URL_MAX 20971520
#define FILE_DATA_MAX 33554432

#define ROW_MEMBERS 6

struct part_row {
	enum part_kind kind;
	unsigned places;
	const char *text; /* the member that becomes the part's text */
	size_t most;      /* of its characters */
	const char *members[ROW_MEMBERS];
	/* Checks the text, which came from this member, and reads the others; NULL when there is nothing to. */
	int (*read)(const struct field *object, const char *text, struct part *part, bool stored);
};

/* A field of OpenAI's API that names something kept or found elsewhere. */
static int refuse_elsewhere(const struct field *object, const char *name, const char *cure) {
	struct field field = field_member(object, name);
	if (!field_given(&field)) {
		return 0;
	}
	return api_error_set(field.error, API_UNSUPPORTED, field.path,
			     "%s is not supported: this server fetches nothing; send %s", field.path, cure);
}

static struct str text_of(const struct part *part) {
	return (struct str){part->text, part->length};
}

/* Not field_wrong_value: what was sent is long and says nothing. */
static int wrong_data(const struct field *object, const char *name, const char *wanted) {
	struct field field = field_member(object, name);
	return api_error_set(field.error, API_INVALID_VALUE, field.path, "%s must be %s", field.path, wanted);
}

static int read_output_text(const struct field *object, const char *text, struct part *part, bool stored) {
	(void)text;
	(void)stored;
	struct field annotations = field_member(object, "annotations");
	struct field logprobs = field_member(object, "logprobs");
	return part_read_annotations(&annotations, &part->annotations) != 0 ||
			       part_read_logprobs(&logprobs, &part->logprobs) != 0
		       ? -1
		       : 0;
}

static int read_image(const struct field *object, const char *text, struct part *part, bool stored) {
	static const char *const details[] = {"low", "high", "auto"};
	struct field detail = field_member(object, "detail");
	size_t index;
	if (!stored && !file_is_image_url(text_of(part)) && !file_is_web_url(text_of(part))) {
		return wrong_data(object, text, "a data: URL of an image, or an http or https URL");
	}
	if (!field_given(&detail)) {
		return 0;
	}
	return field_choice(&detail, details, COUNT(details), &index) != 0 ? -1
									   : field_copy_string(&detail, &part->detail);
}

static int check_file_data(const struct field *object, const char *text, const struct part *part) {
	struct file_data data;
	if (part->length == 0 || file_data_split(text_of(part), &data) != 0 || data.base64.length == 0 ||
	    !base64_is_valid(data.base64)) {
		return wrong_data(object, text, "base64, or a data: URL with base64: in groups of four, padded");
	}
	if (!file_is_text_type(data.media_type)) {
		return 0;
	}
	struct buf content = BUF_INIT;
	int result = file_text(part, &content);
	bool failed = content.failed;
	buf_free(&content);
	if (failed) {
		return field_no_memory(object);
	}
	return result == 0 ? 0 : wrong_data(object, text, "UTF-8 without NUL, which its media type promises");
}

static int read_file(const struct field *object, const char *text, struct part *part, bool stored) {
	struct field filename = field_member(object, "filename");
	if (field_given(&filename) && field_copy_string(&filename, &part->filename) != 0) {
		return -1;
	}
	return stored ? 0 : check_file_data(object, text, part);
}

static int read_video(const struct field *object, const char *text, struct part *part, bool stored) {
	struct str url = text_of(part);
	struct file_data data;
	bool is_data = file_data_split(url, &data) == 0 && data.media_type.length > 0;
	return stored || is_data || file_is_web_url(url)
		       ? 0
		       : wrong_data(object, text, "a data: URL, or an http or https URL");
}

/* `parsed` is what the helpers of OpenAI's SDKs add to the text that they parsed. It is the text once more. */
static const struct part_row rows[] = {
	{PART_INPUT_TEXT, PLACE_USER | PLACE_INSTRUCTION | PLACE_OUTPUT, "text", ITEM_TEXT_MAX, {0}, NULL},
	{PART_INPUT_IMAGE, PLACE_USER | PLACE_OUTPUT, "image_url", IMAGE_URL_MAX, {"detail", "file_id"}, read_image},
	{PART_INPUT_FILE,
	 PLACE_USER | PLACE_OUTPUT,
	 "file_data",
	 FILE_DATA_MAX,
	 {"filename", "file_url", "file_id"},
	 read_file},
	{PART_INPUT_VIDEO, PLACE_OUTPUT, "video_url", FILE_DATA_MAX, {0}, read_video},
	{PART_OUTPUT_TEXT,
	 PLACE_ASSISTANT,
	 "text",
	 ITEM_TEXT_MAX,
	 {"annotations", "logprobs", "parsed"},
	 read_output_text},
	{PART_REFUSAL, PLACE_ASSISTANT, "refusal", ITEM_TEXT_MAX, {0}, NULL},
	{PART_SUMMARY_TEXT, PLACE_SUMMARY, "text", ITEM_TEXT_MAX, {0}, NULL},
	{PART_REASONING_TEXT, PLACE_REASONING, "text", ITEM_TEXT_MAX, {0}, NULL},
};

static const char *place_name(const struct part_target *target) {
	switch (target->place) {
	case PLACE_OUTPUT:
		return "in a function call's output";
	case PLACE_SUMMARY:
		return "in a summary";
	case PLACE_REASONING:
		return "in the content of reasoning";
	case PLACE_USER:
	case PLACE_INSTRUCTION:
	case PLACE_ASSISTANT:
		break;
	}
	return "in a message of this role";
}

/* The types that may stand there: "input_text", "input_image" or "input_file" */
static void list_types(const struct part_target *target, char *text, size_t size) {
	const char *names[COUNT(rows)];
	size_t count = 0;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (rows[i].places & target->place) {
			names[count++] = item_part_name(rows[i].kind);
		}
	}
	field_list_names(text, size, names, count);
}

/* The row of the part's type, when it may stand there; else NULL and an error. */
static const struct part_row *find_row(const struct field *object, const struct part_target *target) {
	struct field type = field_member(object, "type");
	struct str name;
	char types[96];
	char wanted[160];
	list_types(target, types, sizeof types);
	if (!field_given(&type)) {
		field_missing(&type, types);
		return NULL;
	}
	if (field_string(&type, &name) != 0) {
		return NULL;
	}
	for (size_t i = 0; i < COUNT(rows); i++) {
		if ((rows[i].places & target->place) && str_is(name, item_part_name(rows[i].kind))) {
			return &rows[i];
		}
	}
	if (str_is(name, "input_audio")) {
		api_error_set(type.error, API_UNSUPPORTED, type.path, "%s \"input_audio\" is not supported; send %s",
			      type.path, types);
		return NULL;
	}
	snprintf(wanted, sizeof wanted, "%s %s", types, place_name(target));
	field_wrong_value(&type, wanted);
	return NULL;
}

static int check_members(const struct field *object, const struct part_row *row) {
	const char *names[ROW_MEMBERS + 2] = {"type", row->text};
	size_t count = 2;
	for (size_t i = 0; i < ROW_MEMBERS && row->members[i]; i++) {
		names[count++] = row->members[i];
	}
	if (field_object(object, "an object", names, count) != 0 ||
	    refuse_elsewhere(object, "file_id", row->text) != 0) {
		return -1;
	}
	return row->kind == PART_INPUT_FILE ? refuse_elsewhere(object, "file_url", row->text) : 0;
}

/* An image and a file may be null in the schema, for want of another field that this server refuses. */
static int read_text(const struct field *object, const char *name, const struct part_row *row, struct str *text) {
	struct field field = field_member(object, name);
	if (row->kind == PART_INPUT_IMAGE && !field_given(&field)) {
		return field_missing(&field, "a data: URL of an image, or an http or https URL");
	}
	if (row->kind == PART_INPUT_FILE && !field_given(&field)) {
		return field_missing(&field, "the file as a data: URL, or as base64");
	}
	return field_bounded(&field, row->most, text);
}

static int add_part(const struct field *object, const char *name, const struct part_row *row,
		    const struct part_target *target) {
	struct str text = STR_NONE;
	if (read_text(object, name, row, &text) != 0) {
		return -1;
	}
	struct part *part = item_add_part(target->item, row->kind, text);
	if (!part) {
		return field_no_memory(object);
	}
	return row->read ? row->read(object, name, part, target->stored) : 0;
}

int part_read_kind(const struct field *object, enum part_kind kind, const char *text, struct item *item) {
	const struct part_target target = {.item = item};
	size_t row = 0;
	while (rows[row].kind != kind) {
		row++;
	}
	return refuse_elsewhere(object, "file_id", text) != 0 ? -1 : add_part(object, text, &rows[row], &target);
}

int part_read(const struct field *field, const struct part_target *target) {
	if (json_type(field->value) != JSON_OBJECT) {
		return field_wrong_type(field, "an object with a type");
	}
	const struct part_row *row = find_row(field, target);
	return !row || check_members(field, row) != 0 ? -1 : add_part(field, row->text, row, target);
}
