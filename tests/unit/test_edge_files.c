/* The page's files: what is loaded, under which names, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "files.h"

struct stage {
	char folder[64];
};

static void put(const struct stage *stage, const char *name, const char *content, size_t length) {
	char path[256];
	snprintf(path, sizeof path, "%s/%s", stage->folder, name);
	FILE *out = fopen(path, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(content, 1, length, out), length);
	assert_int_equal(fclose(out), 0);
}

static int set_up(void **state) {
	struct stage *stage = calloc(1, sizeof *stage);
	snprintf(stage->folder, sizeof stage->folder, "/tmp/sluice-files-XXXXXX");
	*state = stage;
	return mkdtemp(stage->folder) ? 0 : -1;
}

static int tear_down(void **state) {
	struct stage *stage = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", stage->folder);
	int result = system(command);
	free(stage);
	return result;
}

static struct files *load(const struct stage *stage) {
	struct err err = {0};
	struct files *files = files_load(stage->folder, &err);
	if (!files) {
		fail_msg("%s", err.text);
	}
	return files;
}

static void files_are_found_by_path_with_type_and_content(void **state) {
	struct stage *stage = *state;
	char below[256];
	snprintf(below, sizeof below, "%s/art", stage->folder);
	assert_int_equal(mkdir(below, 0700), 0);
	put(stage, "index.html", "<!doctype html>", 15);
	put(stage, "page.js", "a\0b", 3);
	put(stage, "art/icon.svg", "<svg/>", 6);
	struct files *files = load(stage);
	assert_int_equal(files_count(files), 3);
	const struct file *index = files_find(files, STR("/"));
	assert_non_null(index);
	assert_ptr_equal(index, files_find(files, STR("/index.html")));
	const struct file *script = files_find(files, STR("/page.js"));
	assert_int_equal(script->length, 3);
	assert_memory_equal(script->data, "a\0b", 3);
	assert_non_null(strstr(script->type, "javascript"));
	assert_non_null(strstr(files_find(files, STR("/art/icon.svg"))->type, "svg"));
	assert_null(files_find(files, STR("/art")));
	assert_null(files_find(files, STR("/none.js")));
	assert_null(files_find(files, STR("page.js")));
	assert_null(files_find(files, STR("/art/../page.js")));
	files_free(&files);
	assert_null(files);
}

static void hidden_files_are_left_out(void **state) {
	struct stage *stage = *state;
	put(stage, ".secret", "x", 1);
	put(stage, "seen", "x", 1);
	struct files *files = load(stage);
	assert_int_equal(files_count(files), 1);
	assert_null(files_find(files, STR("/.secret")));
	files_free(&files);
}

static void tags_tell_contents_apart_and_outlive_a_restart(void **state) {
	struct stage *stage = *state;
	put(stage, "a", "same", 4);
	put(stage, "b", "same", 4);
	put(stage, "c", "sane", 4);
	struct files *files = load(stage);
	char before[sizeof files_find(files, STR("/a"))->etag];
	snprintf(before, sizeof before, "%s", files_find(files, STR("/a"))->etag);
	assert_int_equal(before[0], '"');
	assert_int_equal(before[strlen(before) - 1], '"');
	assert_string_equal(before, files_find(files, STR("/b"))->etag);
	assert_string_not_equal(before, files_find(files, STR("/c"))->etag);
	files_free(&files);
	files = load(stage);
	assert_string_equal(before, files_find(files, STR("/a"))->etag);
	files_free(&files);
}

static void no_folder_is_no_page_and_a_missing_one_an_error(void **state) {
	(void)state;
	struct err err = {0};
	struct files *files = files_load("", &err);
	assert_non_null(files);
	assert_int_equal(files_count(files), 0);
	assert_null(files_find(files, STR("/")));
	files_free(&files);
	assert_null(files_load("/nowhere/at/all", &err));
	assert_int_equal(err.code, ERR_IO);
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

static void a_huge_file_is_refused(void **state) {
	struct stage *stage = *state;
	char path[256];
	put(stage, "huge", "x", 1);
	snprintf(path, sizeof path, "%s/huge", stage->folder);
	assert_int_equal(truncate(path, (off_t)FILES_MAX_BYTES + 1), 0);
	struct err err = {0};
	assert_null(files_load(stage->folder, &err));
	assert_int_equal(err.code, ERR_LIMIT);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_found_by_path_with_type_and_content, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hidden_files_are_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tags_tell_contents_apart_and_outlive_a_restart, set_up, tear_down),
		cmocka_unit_test(no_folder_is_no_page_and_a_missing_one_an_error),
		cmocka_unit_test_setup_teardown(a_huge_file_is_refused, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
