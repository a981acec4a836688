#include "proto/file.h"

#include <string.h>

#include "base/base64.h"

static bool starts_nocase(struct str text, const char *prefix) {
	size_t length = strlen(prefix);
	return text.length >= length && str_equal_nocase((struct str){text.data, length}, str_of(prefix));
}

static bool ends_nocase(struct str text, const char *suffix) {
	size_t length = strlen(suffix);
	return text.length >= length &&
	       str_equal_nocase(str_skip(text, text.length - length), (struct str){suffix, length});
}

/* data:[TYPE][;PARAMETER…],DATA: what is before the comma without "data:", and what is behind it. */
static int split_url(struct str url, struct str *head, struct str *data) {
	size_t comma;
	if (!starts_nocase(url, "data:") || str_find_char(url, ',', &comma) != 0) {
		return -1;
	}
	*head = str_skip((struct str){url.data, comma}, 5);
	*data = str_skip(url, comma + 1);
	return 0;
}

int file_data_split(struct str text, struct file_data *out) {
	if (!starts_nocase(text, "data:")) {
		*out = (struct file_data){.base64 = text};
		return 0;
	}
	struct str head, data;
	if (split_url(text, &head, &data) != 0 || !ends_nocase(head, ";base64")) {
		return -1;
	}
	*out = (struct file_data){.media_type = str_trim(str_cut(&head, ';')), .base64 = data};
	return 0;
}

bool file_is_text_type(struct str media_type) {
	static const char *const types[] = {"json", "xml", "yaml", "x-yaml", "javascript", "x-javascript"};
	static const char *const suffixes[] = {"+json", "+xml", "+yaml"};
	if (starts_nocase(media_type, "text/")) {
		return true;
	}
	if (!starts_nocase(media_type, "application/")) {
		return false;
	}
	struct str name = str_skip(media_type, strlen("application/"));
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (str_equal_nocase(name, str_of(types[i]))) {
			return true;
		}
	}
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		if (ends_nocase(name, suffixes[i])) {
			return true;
		}
	}
	return false;
}

static bool is_control(char c) {
	return ((unsigned char)c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
}

static bool looks_like_text(struct str content) {
	for (size_t i = 0; i < content.length; i++) {
		if (is_control(content.data[i])) {
			return false;
		}
	}
	return str_is_utf8(content);
}

/* What calls itself text may have a form feed or colours of a terminal, but no NUL, which no JSON here carries. */
static bool is_text(struct str media_type, struct str content) {
	if (media_type.length == 0) {
		return looks_like_text(content);
	}
	size_t nul;
	return file_is_text_type(media_type) && str_is_utf8(content) && str_find_char(content, '\0', &nul) != 0;
}

int file_text(const struct part *part, struct buf *out) {
	struct file_data data;
	size_t before = out->length;
	if (file_data_split((struct str){part->text, part->length}, &data) != 0 ||
	    (data.media_type.length > 0 && !file_is_text_type(data.media_type)) ||
	    base64_decode(data.base64, out) != 0) {
		return -1;
	}
	if (!is_text(data.media_type, str_skip(buf_str(out), before))) {
		out->length = before;
		return -1;
	}
	return 0;
}

bool file_is_image_url(struct str url) {
	struct str head, data;
	return split_url(url, &head, &data) == 0 && starts_nocase(head, "image/") && data.length > 0;
}

bool file_is_web_url(struct str url) {
	size_t scheme = starts_nocase(url, "https://") ? 8 : starts_nocase(url, "http://") ? 7 : 0;
	struct str host = str_skip(url, scheme);
	if (scheme == 0 || host.length == 0 || host.data[0] == '/') {
		return false;
	}
	for (size_t i = 0; i < url.length; i++) {
		if ((unsigned char)url.data[i] <= ' ' || url.data[i] == 0x7F) {
			return false;
		}
	}
	return true;
}
