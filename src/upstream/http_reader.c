#include "http_reader.h"

#include <string.h>
#include <time.h>

#define VERSION STR("HTTP/1.") /* and a digit */

/* --- the head --------------------------------------------------------------------------------------------------- */

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

static bool is_value(struct str value) {
	for (size_t i = 0; i < value.length; i++) {
		unsigned char c = (unsigned char)value.data[i];
		if ((c < 0x20 && c != '\t') || c == 0x7F) {
			return false;
		}
	}
	return true;
}

/* HTTP/1.1 200 Reason */
static bool read_status_line(struct http_reader *reader, struct str line) {
	const char *at = line.data;
	if (line.length < 12 || memcmp(at, VERSION.data, VERSION.length) != 0 || !is_digit(at[7]) || at[8] != ' ' ||
	    !is_digit(at[9]) || !is_digit(at[10]) || !is_digit(at[11]) || (line.length > 12 && at[12] != ' ') ||
	    !is_value(line)) {
		return false;
	}
	reader->minor_0 = at[7] == '0';
	reader->keeps_alive = !reader->minor_0;
	reader->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
	return reader->status >= 100;
}

static bool is_token(struct str name) {
	static const char others[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < name.length; i++) {
		char c = name.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !is_digit(c) && (c == '\0' || !strchr(others, c))) {
			return false;
		}
	}
	return name.length > 0;
}

static void read_connection(struct http_reader *reader, struct str value) {
	while (value.length > 0) {
		struct str option = str_trim(str_cut(&value, ','));
		if (str_equal_nocase(option, STR("close"))) {
			reader->keeps_alive = false;
			return;
		}
		if (str_equal_nocase(option, STR("keep-alive"))) {
			reader->keeps_alive = true;
		}
	}
}

/* Seconds, or a date in the one form that may be written today (RFC 9110, 5.6.7). */
static void read_retry_after(struct http_reader *reader, struct str value) {
	char text[32];
	uint64_t seconds;
	if (str_to_u64(value, &seconds) == 0) {
		reader->retry_after_s = seconds < INT64_MAX ? (int64_t)seconds : INT64_MAX;
		return;
	}
	struct tm date = {0};
	if (str_copy(text, sizeof text, value) == 0) {
		const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);
		if (end && *end == '\0') {
			reader->retry_at_s = timegm(&date);
		}
	}
}

static bool read_header(struct http_reader *reader, struct str line) {
	struct str value = line;
	struct str name = str_cut(&value, ':');
	if (name.length == line.length || !is_token(name) || !is_value(value)) {
		return false;
	}
	value = str_trim(value);
	if (str_equal_nocase(name, STR("content-length"))) {
		bool again = reader->has_length;
		reader->has_length = true;
		return !again && str_to_u64(value, &reader->left) == 0;
	}
	if (str_equal_nocase(name, STR("transfer-encoding"))) {
		bool again = reader->chunked;
		reader->chunked = true;
		return !again && str_equal_nocase(value, STR("chunked"));
	}
	if (str_equal_nocase(name, STR("connection"))) {
		read_connection(reader, value);
	} else if (str_equal_nocase(name, STR("content-type"))) {
		reader->type = transfer_type_of(value);
	} else if (str_equal_nocase(name, STR("retry-after"))) {
		read_retry_after(reader, value);
	}
	return true;
}

/* A line of a head or of the trailers, without its end. HTTP_READ_HEAD: there it is. */
static enum http_read take_line(struct http_reader *reader, struct str *rest, struct str *line) {
	const char *lf = rest->length > 0 ? memchr(rest->data, '\n', rest->length) : NULL;
	size_t length = lf ? (size_t)(lf - rest->data) + 1 : rest->length;
	if (length > HTTP_MAX_HEAD - reader->size) {
		return HTTP_READ_BAD;
	}
	reader->size += (uint32_t)length;
	struct str part = {rest->data, length};
	*rest = str_skip(*rest, length);
	if (!lf || reader->line.length > 0) {
		buf_append_str(&reader->line, part);
		if (reader->line.failed) {
			return HTTP_READ_MEMORY;
		}
		part = buf_str(&reader->line);
	}
	if (!lf) {
		return HTTP_READ_MORE;
	}
	part.length -= part.length > 1 && part.data[part.length - 2] == '\r' ? 2 : 1;
	*line = part;
	return HTTP_READ_HEAD;
}

/* The empty line behind a head has come: where its body ends. */
static enum http_read end_head(struct http_reader *reader) {
	buf_free(&reader->line);
	reader->size = 0;
	if (reader->status < 200) {
		/* Nobody asked for another protocol, and an interim answer has no body. */
		bool fine = reader->status != 101 && !reader->has_length && !reader->chunked &&
			    reader->interim < HTTP_MAX_INTERIM;
		uint8_t interim = reader->interim + 1;
		*reader = (struct http_reader){.interim = interim};
		return fine ? HTTP_READ_MORE : HTTP_READ_BAD;
	}
	if (reader->chunked && (reader->has_length || reader->minor_0)) {
		return HTTP_READ_BAD;
	}
	if (reader->status == 204 || reader->status == 304) {
		reader->state = HTTP_OVER;
	} else if (reader->chunked) {
		reader->state = HTTP_CHUNK_SIZE;
		reader->left = 0;
	} else if (reader->has_length) {
		reader->state = reader->left > 0 ? HTTP_BODY_LENGTH : HTTP_OVER;
	} else {
		reader->state = HTTP_BODY_CLOSE;
		reader->keeps_alive = false;
	}
	return HTTP_READ_HEAD;
}

/* Whether the status line may still become one. What speaks another protocol need not end a line. */
static bool may_be_http(const struct http_reader *reader) {
	size_t length = reader->line.length < VERSION.length ? reader->line.length : VERSION.length;
	return reader->state != HTTP_STATUS_LINE || memcmp(reader->line.data, VERSION.data, length) == 0;
}

static enum http_read read_head(struct http_reader *reader, struct str *rest) {
	while (rest->length > 0) {
		struct str line;
		enum http_read read = take_line(reader, rest, &line);
		if (read == HTTP_READ_MORE && !may_be_http(reader)) {
			return HTTP_READ_BAD;
		}
		if (read != HTTP_READ_HEAD) {
			return read;
		}
		if (reader->state == HTTP_STATUS_LINE) {
			if (!read_status_line(reader, line)) {
				return HTTP_READ_BAD;
			}
			reader->state = HTTP_HEADERS;
		} else if (line.length > 0) {
			if (!read_header(reader, line)) {
				return HTTP_READ_BAD;
			}
		} else {
			read = end_head(reader);
			if (read != HTTP_READ_MORE) {
				return read;
			}
		}
		buf_clear(&reader->line);
	}
	return HTTP_READ_MORE;
}

/* --- the body --------------------------------------------------------------------------------------------------- */

static struct str take(struct str *rest, uint64_t at_most) {
	struct str piece = *rest;
	if (piece.length > at_most) {
		piece.length = (size_t)at_most;
	}
	*rest = str_skip(*rest, piece.length);
	return piece;
}

static int hex_digit(char c) {
	if (is_digit(c)) {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of the line with a chunk's size. false: that is none. 15 digits are more than any chunk and fit. */
static bool read_size(struct http_reader *reader, char c) {
	int digit = reader->state == HTTP_CHUNK_SIZE ? hex_digit(c) : -1;
	if (digit >= 0) {
		reader->left = reader->left << 4 | (uint64_t)digit;
		return ++reader->digits <= 15;
	}
	if (reader->state == HTTP_CHUNK_SIZE_LF) {
		reader->state = reader->left > 0 ? HTTP_CHUNK_DATA : HTTP_TRAILERS;
		reader->digits = 0;
		reader->size = 0;
		return c == '\n';
	}
	if (reader->digits == 0) {
		return false;
	}
	if (c == '\r') {
		reader->state = HTTP_CHUNK_SIZE_LF;
		return true;
	}
	bool begins = reader->state == HTTP_CHUNK_SIZE;
	reader->state = HTTP_CHUNK_EXTENSION;
	if (begins && c != ';' && c != ' ' && c != '\t') {
		return false;
	}
	return is_value((struct str){&c, 1}) && ++reader->size <= HTTP_MAX_EXTENSION;
}

/* One byte of the framing around chunks. */
static bool read_framing(struct http_reader *reader, char c) {
	switch (reader->state) {
	case HTTP_CHUNK_CR:
		reader->state = HTTP_CHUNK_LF;
		return c == '\r';
	case HTTP_CHUNK_LF:
		reader->state = HTTP_CHUNK_SIZE;
		return c == '\n';
	default:
		return read_size(reader, c);
	}
}

static enum http_read read_trailers(struct http_reader *reader, struct str *rest) {
	while (rest->length > 0) {
		struct str line;
		enum http_read read = take_line(reader, rest, &line);
		if (read != HTTP_READ_HEAD) {
			return read;
		}
		bool last = line.length == 0;
		buf_free(&reader->line);
		if (last) {
			reader->state = HTTP_OVER;
			return HTTP_READ_END;
		}
	}
	return HTTP_READ_MORE;
}

static enum http_read read_chunked(struct http_reader *reader, struct str *rest, struct str *body) {
	while (rest->length > 0 && reader->state != HTTP_TRAILERS) {
		if (reader->state == HTTP_CHUNK_DATA) {
			*body = take(rest, reader->left);
			reader->left -= body->length;
			if (reader->left == 0) {
				reader->state = HTTP_CHUNK_CR;
			}
			return HTTP_READ_BODY;
		}
		if (!read_framing(reader, rest->data[0])) {
			return HTTP_READ_BAD;
		}
		*rest = str_skip(*rest, 1);
	}
	return read_trailers(reader, rest);
}

enum http_read http_reader_next(struct http_reader *reader, struct str *rest, struct str *body) {
	switch (reader->state) {
	case HTTP_STATUS_LINE:
	case HTTP_HEADERS:
		return read_head(reader, rest);
	case HTTP_BODY_LENGTH:
		*body = take(rest, reader->left);
		reader->left -= body->length;
		if (reader->left == 0) {
			reader->state = HTTP_OVER;
		}
		return body->length > 0 ? HTTP_READ_BODY : HTTP_READ_MORE;
	case HTTP_BODY_CLOSE:
		*body = take(rest, UINT64_MAX);
		return body->length > 0 ? HTTP_READ_BODY : HTTP_READ_MORE;
	case HTTP_OVER:
		return HTTP_READ_END;
	default:
		return read_chunked(reader, rest, body);
	}
}

bool http_reader_ends(const struct http_reader *reader) {
	return reader->state == HTTP_BODY_CLOSE || reader->state == HTTP_OVER;
}

void http_reader_free(struct http_reader *reader) {
	buf_free(&reader->line);
}
