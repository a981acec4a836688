#include "headers.h"

#include <string.h>

struct str headers_get(struct lws *wsi, enum lws_token_indexes name, char *buffer, size_t size) {
	int length = lws_hdr_copy(wsi, buffer, (int)size, name);
	return length > 0 ? str_trim((struct str){buffer, strnlen(buffer, (size_t)length)}) : STR_NONE;
}

bool headers_has(struct lws *wsi, enum lws_token_indexes name) {
	return lws_hdr_total_length(wsi, name) > 0;
}

bool headers_get_custom(struct lws *wsi, const char *name, char *buffer, size_t size, struct str *value) {
	int name_length = (int)strlen(name);
	*value = STR_NONE;
	if (lws_hdr_custom_length(wsi, name, name_length) < 0) {
		return false;
	}
	int length = lws_hdr_custom_copy(wsi, buffer, (int)size, name, name_length);
	if (length > 0) {
		*value = str_trim((struct str){buffer, (size_t)length});
	}
	return true;
}

bool headers_repeated(struct lws *wsi, enum lws_token_indexes name) {
	char second[HEADERS_MAX];
	return lws_hdr_copy_fragment(wsi, second, sizeof second, name, 1) >= 0;
}

/* libwebsockets keeps the arguments apart, without the '&' between them. */
struct str headers_query(struct lws *wsi, char *buffer, size_t size) {
	size_t length = 0;
	for (int i = 0; length + 1 < size; i++) {
		size_t start = i > 0 ? length + 1 : 0;
		int got = lws_hdr_copy_fragment(wsi, buffer + start, (int)(size - start), WSI_TOKEN_HTTP_URI_ARGS, i);
		if (got < 0) {
			break;
		}
		if (i > 0) {
			buffer[length] = '&';
		}
		length = start + (size_t)got;
	}
	return (struct str){buffer, length};
}

bool headers_hold_nul(struct lws *wsi) {
	char value[HEADERS_MAX];
	for (int name = 0; name < WSI_TOKEN_COUNT; name++) {
		int length = lws_hdr_copy_fragment(wsi, value, sizeof value, (enum lws_token_indexes)name, 0);
		if (length > 0 && memchr(value, '\0', (size_t)length)) {
			return true;
		}
	}
	return false;
}

bool headers_has_blank_before_colon(struct lws *wsi, const char *name) {
	char text[64];
	size_t length = strlen(name);
	memcpy(text, name, length);
	for (const char *blank = " \t"; *blank; blank++) {
		for (size_t count = 1; count <= 16; count++) {
			memset(text + length, *blank, count);
			text[length + count] = ':';
			if (lws_hdr_custom_length(wsi, text, (int)(length + count + 1)) >= 0) {
				return true;
			}
		}
	}
	return false;
}

bool headers_list_has(struct str list, const char *token) {
	while (list.data) {
		if (str_equal_nocase(str_trim(str_cut(&list, ',')), str_of(token))) {
			return true;
		}
	}
	return false;
}

int headers_target(struct lws *wsi, enum http_method *method, bool *options, struct str *path) {
	char *at = NULL;
	int length = 0;
	int which = lws_http_get_uri_and_method(wsi, &at, &length);
	if (which < 0 || !at || length <= 0) {
		return -1;
	}
	*method = which == LWSHUMETH_GET      ? HTTP_GET
		  : which == LWSHUMETH_HEAD   ? HTTP_HEAD
		  : which == LWSHUMETH_POST   ? HTTP_POST
		  : which == LWSHUMETH_DELETE ? HTTP_DELETE
					      : HTTP_OTHER;
	*options = which == LWSHUMETH_OPTIONS;
	*path = (struct str){at, (size_t)length};
	return 0;
}
