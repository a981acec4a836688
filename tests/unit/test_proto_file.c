/* data: URLs, and which files are text. */
#include "proto/file.h"
#include "proto_test.h"

static void test_what_is_text(void **state) {
	(void)state;
	static const struct {
		char *data;
		const char *text; /* NULL: it is not */
	} cases[] = {
		{"data:text/plain;base64,SGk=", "Hi"},
		{"data:text/plain;charset=utf-8;base64,SGk=", "Hi"},
		{"DATA:Text/CSV;BASE64,SGk=", "Hi"},
		{"data:text/markdown;base64,w6k=", "\xC3\xA9"},
		{"data:application/json;base64,e30=", "{}"},
		{"data:application/ld+json;base64,e30=", "{}"},
		{"data:application/xml;base64,e30=", "{}"},
		{"data:image/svg+xml;base64,e30=", NULL},
		{"data:application/atom+xml;base64,e30=", "{}"},
		{"data:application/x-yaml;base64,e30=", "{}"},
		{"data:application/yaml;base64,e30=", "{}"},
		{"data:application/javascript;base64,e30=", "{}"},
		/* Colours of a terminal, where the type says that it is text; a tab and line ends anywhere. */
		{"data:text/plain;base64,G1s=", "\x1B["},
		{"G1s=", NULL},
		{"fw==", NULL},
		{"CQ0K", "\t\r\n"},
		{"SGk=", "Hi"},
		{"data:;base64,SGk=", "Hi"},
		{"", ""},
		/* Not UTF-8, or NUL. */
		{"/w==", NULL},
		{"data:text/plain;base64,/w==", NULL},
		{"AA==", NULL},
		{"data:text/plain;base64,AA==", NULL},
		/* Other types, even when their content looks like text. */
		{"data:application/pdf;base64,SGk=", NULL},
		{"data:application/octet-stream;base64,SGk=", NULL},
		{"data:image/png;base64,SGk=", NULL},
		{"data:application/jsonx;base64,SGk=", NULL},
		{"data:text;base64,SGk=", NULL},
		/* What does not decode. */
		{"data:text/plain;base64,SGk", NULL},
		{"data:text/plain,SGk=", NULL},
		{"data:text/plain;base64", NULL},
		{"data:", NULL},
		{"SG k", NULL},
		/* Four digits of base64, whose bytes are no text. */
		{"data", NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct part part = {.kind = PART_INPUT_FILE, .text = cases[i].data, .length = strlen(cases[i].data)};
		struct buf out = BUF_INIT;
		buf_append_text(&out, "[");
		int result = file_text(&part, &out);
		if (result != (cases[i].text ? 0 : -1)) {
			fail_msg("%s: %d", cases[i].data, result);
		}
		assert_str(str_skip(buf_str(&out), 1), cases[i].text ? cases[i].text : "");
		buf_free(&out);
	}
}

static void test_splitting(void **state) {
	(void)state;
	static const struct {
		const char *text, *type, *base64;
	} cases[] = {
		{"QUJD", "", "QUJD"},
		{"", "", ""},
		{"data:;base64,QQ==", "", "QQ=="},
		{"data:a/b;base64,QQ==", "a/b", "QQ=="},
		{"data:a/b;x=y;base64,", "a/b", ""},
		{"data: a/b ;base64,Q,Q", "a/b", "Q,Q"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct file_data data;
		assert_int_equal(file_data_split(str_of(cases[i].text), &data), 0);
		assert_str(data.media_type, cases[i].type);
		assert_str(data.base64, cases[i].base64);
	}
	static const char *const bad[] = {"data:",         "data:,",           "data:a/b",
					  "data:a/b,QQ==", "data:base64,QQ==", "data:a/b;base64 ,QQ=="};
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct file_data data;
		assert_int_equal(file_data_split(str_of(bad[i]), &data), -1);
	}
}

static void test_urls(void **state) {
	(void)state;
	static const char *const web[] = {"http://h", "https://h/a?b#c", "HTTP://[::1]:80/", "http://h/\xC3\xA9"};
	static const char *const images[] = {"data:image/png;base64,AAAA", "DATA:IMAGE/gif,x"};
	static const char *const neither[] = {"",
					      "http",
					      "http:/h",
					      "http://",
					      "https://",
					      "https:///a",
					      "http://h/ ",
					      "http://h/\n",
					      "ftp://h/",
					      "javascript:x",
					      "data:image/png",
					      "data:image/png,",
					      "data:text/plain;base64,AAAA",
					      "image/png,x"};
	for (size_t i = 0; i < COUNT(web); i++) {
		assert_true(file_is_web_url(str_of(web[i])));
		assert_false(file_is_image_url(str_of(web[i])));
	}
	for (size_t i = 0; i < COUNT(images); i++) {
		assert_true(file_is_image_url(str_of(images[i])));
		assert_false(file_is_web_url(str_of(images[i])));
	}
	for (size_t i = 0; i < COUNT(neither); i++) {
		if (file_is_web_url(str_of(neither[i])) || file_is_image_url(str_of(neither[i]))) {
			fail_msg("taken for a URL: %s", neither[i]);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_text),
		cmocka_unit_test(test_splitting),
		cmocka_unit_test(test_urls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
