#include "file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

#define FILE_MAX (1 << 20)
#define SECTION_SIZE 64

/* The packaged libinih tells its handler no line numbers. It takes its lines from a reader, one a call, and calls the
 * handler before it asks for the next, so the reader knows which line a setting stands on. The reader also hands over
 * what is left of a line without indentation and comment: then `#` comments work behind a value too, and a line that
 * is indented is no continuation of the one above. */
struct reader {
	struct str rest;
	int line;
	const struct config_file_sink *sink;
};

static struct str without_comment(struct str line) {
	for (size_t i = 0; i < line.length; i++) {
		bool starts_word = i == 0 || line.data[i - 1] == ' ' || line.data[i - 1] == '\t';
		if (starts_word && (line.data[i] == '#' || line.data[i] == ';')) {
			return str_trim((struct str){line.data, i});
		}
	}
	return str_trim(line);
}

static const char *fault_of(struct str line, size_t room) {
	size_t at;
	if (!str_find_char(line, '\0', &at)) {
		return "holds a NUL byte: this is no text file";
	}
	if (line.length + 2 > room) {
		return "is too long";
	}
	if (str_starts(line, "[")) {
		return str_find_char(line, ']', &at) ? "a section lacks its closing ']'" : NULL;
	}
	if (str_find_char(line, '=', &at) && str_find_char(line, ':', &at)) {
		return "is neither a [section] nor key = value";
	}
	return NULL;
}

static void tell_section(const struct reader *reader, struct str line) {
	struct str rest = str_skip(line, 1);
	struct str name = str_cut(&rest, ']');
	char copy[SECTION_SIZE];
	str_copy_cut(copy, sizeof copy, name);
	reader->sink->section(reader->sink->owner, reader->line, copy);
}

static char *read_line(char *to, int size, void *stream) {
	struct reader *reader = stream;
	if (reader->rest.length == 0) {
		return NULL;
	}
	struct str line = str_cut(&reader->rest, '\n');
	if (line.length && line.data[line.length - 1] == '\r') {
		line.length--;
	}
	if (reader->line++ == 0 && str_starts(line, "\xEF\xBB\xBF")) {
		line = str_skip(line, 3);
	}
	line = without_comment(str_trim(line));
	const char *fault = line.length ? fault_of(line, (size_t)size) : NULL;
	if (fault) {
		reader->sink->fault(reader->sink->owner, reader->line, fault);
	} else if (str_starts(line, "[")) {
		tell_section(reader, line);
	}
	snprintf(to, (size_t)size, "%.*s\n", fault ? 0 : (int)line.length, line.data ? line.data : "");
	return to;
}

static int take_setting(void *user, const char *section, const char *key, const char *value) {
	const struct reader *reader = user;
	reader->sink->setting(reader->sink->owner, reader->line, section, key, value);
	return 1;
}

static int read_whole(const char *path, struct buf *content, struct err *err) {
	FILE *file = fopen(path, "re");
	if (!file) {
		return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
	}
	size_t count;
	do {
		char part[4096];
		count = fread(part, 1, sizeof part, file);
		buf_append(content, part, count);
	} while (count > 0 && content->length <= FILE_MAX && !content->failed);
	int result = 0;
	if (ferror(file)) {
		result = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	} else if (content->failed) {
		result = err_set(err, ERR_MEMORY, "%s: out of memory", path);
	} else if (content->length > FILE_MAX) {
		result = err_set(err, ERR_LIMIT, "%s: longer than %d bytes", path, FILE_MAX);
	}
	fclose(file);
	return result;
}

int config_file_read(const char *path, const struct config_file_sink *sink, struct err *err) {
	struct buf content = BUF_INIT;
	if (read_whole(path, &content, err)) {
		buf_free(&content);
		return -1;
	}
	struct reader reader = {.rest = buf_str(&content), .sink = sink};
	/* What it returns is the first line it could not read; read_line has reported them all. */
	int unread = ini_parse_stream(read_line, &reader, take_setting, &reader);
	buf_free(&content);
	return unread == -2 ? err_set(err, ERR_MEMORY, "%s: out of memory", path) : 0;
}
