/* sluicectl key create | list | revoke */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl.h"

static void begin_command(struct buf *out, struct json_writer *writer, const char *name) {
	*out = BUF_INIT;
	*writer = json_writer(out);
	jw_object(writer);
	jw_key(writer, "command");
	jw_text(writer, name);
}

static int create(const struct config *config, int argc, char **argv) {
	const char *user = NULL;
	const char *label = "";
	const struct ctl_option options[] = {{"--user", &user, NULL}, {"--label", &label, NULL}, {0}};
	if (ctl_parse(argc, argv, options, NULL, 0)) {
		return CTL_USAGE;
	}
	if (!user) {
		return ctl_misuse("key create needs --user NAME");
	}
	struct buf command;
	struct json_writer writer;
	begin_command(&command, &writer, "key.create");
	jw_key(&writer, "user");
	jw_text(&writer, user);
	jw_key(&writer, "label");
	jw_text(&writer, label);
	jw_object_end(&writer);
	struct json *reply = ctl_call(config, &command, true);
	buf_free(&command);
	if (!reply) {
		return CTL_FAILED;
	}
	printf("%.*s\n", STR_ARG(json_str(json_get(reply, "key"))));
	int result = ctl_finish_output();
	fprintf(stderr, "key %.*s of %.*s: shown this once, and stored nowhere\n",
		STR_ARG(json_str(json_get(reply, "id"))), STR_ARG(json_str(json_get(reply, "user"))));
	json_free(&reply);
	return result;
}

/* UTC, to the minute; "-" for none. */
static const char *show_time(char out[static 24], const struct json *seconds) {
	int64_t number;
	struct tm parts;
	if (json_integer(seconds, &number)) {
		return "-";
	}
	time_t when = (time_t)number;
	if (!gmtime_r(&when, &parts) || !strftime(out, 24, "%Y-%m-%dT%H:%MZ", &parts)) {
		return "-";
	}
	return out;
}

static void print_keys(const struct json *keys) {
	printf("%-16s  %-17s  %-17s  %-20s  %s\n", "ID", "CREATED", "REVOKED", "USER", "LABEL");
	for (const struct json *key = json_first(keys); key; key = json_next(key)) {
		char created[24];
		char revoked[24];
		printf("%-16.*s  %-17s  %-17s  %-20.*s  %.*s\n", STR_ARG(json_str(json_get(key, "id"))),
		       show_time(created, json_get(key, "created_at")), show_time(revoked, json_get(key, "revoked_at")),
		       STR_ARG(json_str(json_get(key, "user"))), STR_ARG(json_str(json_get(key, "label"))));
	}
}

static int list(const struct config *config, int argc, char **argv) {
	bool as_json = false;
	const struct ctl_option options[] = {{"--json", NULL, &as_json}, {0}};
	if (ctl_parse(argc, argv, options, NULL, 0)) {
		return CTL_USAGE;
	}
	struct buf command;
	struct json_writer writer;
	begin_command(&command, &writer, "key.list");
	jw_object_end(&writer);
	struct json *reply = ctl_call(config, &command, false);
	buf_free(&command);
	if (!reply) {
		return CTL_FAILED;
	}
	const struct json *keys = json_get(reply, "keys");
	if (as_json) {
		struct buf text = BUF_INIT;
		json_print(keys, &text);
		printf("%.*s\n", STR_ARG(buf_str(&text)));
		buf_free(&text);
	} else {
		print_keys(keys);
	}
	json_free(&reply);
	return ctl_finish_output();
}

static int revoke(const struct config *config, int argc, char **argv) {
	const char *id = NULL;
	const struct ctl_option options[] = {{0}};
	if (ctl_parse(argc, argv, options, &id, 1)) {
		return CTL_USAGE;
	}
	if (!id) {
		return ctl_misuse("key revoke needs the ID that `sluicectl key list` shows");
	}
	struct buf command;
	struct json_writer writer;
	begin_command(&command, &writer, "key.revoke");
	jw_key(&writer, "id");
	jw_text(&writer, id);
	jw_object_end(&writer);
	struct json *reply = ctl_call(config, &command, false);
	buf_free(&command);
	if (!reply) {
		return CTL_FAILED;
	}
	json_free(&reply);
	return CTL_OK;
}

int ctl_key(const struct config *config, int argc, char **argv) {
	static const struct {
		const char *name;
		ctl_fn *run;
	} verbs[] = {{"create", create}, {"list", list}, {"revoke", revoke}};
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof verbs[0]; i++) {
		if (!strcmp(argv[1], verbs[i].name)) {
			return verbs[i].run(config, argc - 1, argv + 1);
		}
	}
	return ctl_misuse("key needs one of create, list, revoke");
}
