#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/socket.h"
#include "local.h"

/* A server that is starting holds the store before its socket is there, one that is stopping after it went. */
#define TAKEN_MS 5000
#define TAKEN_STEP_MS 50

static void complain(const char *format, va_list arguments) {
	fputs("sluicectl: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

void ctl_complain(const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	complain(format, arguments);
	va_end(arguments);
}

int ctl_misuse(const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	complain(format, arguments);
	va_end(arguments);
	fputs("`sluicectl help` lists the commands\n", stderr);
	return CTL_USAGE;
}

int ctl_finish_output(void) {
	if (fflush(stdout) || ferror(stdout)) {
		ctl_complain("standard output could not be written");
		return CTL_FAILED;
	}
	return CTL_OK;
}

/* Asks the server; ERR_NOT_FOUND when none runs. */
static int call_server(const struct config *config, struct str command, struct buf *reply, struct err *err) {
	struct buf path = BUF_INIT;
	buf_printf(&path, "%s/admin.sock", config->store.dir);
	const char *text = buf_text(&path);
	int result = text ? admin_socket_call(text, command, reply, err) : err_set(err, ERR_MEMORY, "out of memory");
	buf_free(&path);
	return result;
}

static void wipe(struct buf *reply) {
	if (reply->data) {
		seal_wipe(reply->data, reply->capacity);
	}
	buf_free(reply);
}

static struct json *parse_reply(const struct buf *reply, struct err *err) {
	struct json *root = json_parse(buf_str(reply), err);
	if (!root) {
		err_wrap(err, "the server's reply");
		return NULL;
	}
	if (json_is_true(json_get(root, "ok"))) {
		return root;
	}
	struct str message = json_str(json_get(root, "message"));
	err_set(err, ERR_INVALID, "%.*s", STR_ARG(message));
	json_free(&root);
	return NULL;
}

/* The server if one runs, else the store itself. */
static int call_either(const struct config *config, struct str command, bool may_make, struct buf *reply,
		       struct err *err) {
	for (int waited = 0;; waited += TAKEN_STEP_MS) {
		int result = call_server(config, command, reply, err);
		if (result == 0 || err->code != ERR_NOT_FOUND) {
			return result;
		}
		result = admin_local_call(config, command, may_make, reply, err);
		if (result == 0 || err->code != ERR_CONFLICT || waited >= TAKEN_MS) {
			return result;
		}
		const struct timespec step = {.tv_nsec = TAKEN_STEP_MS * 1000000L};
		nanosleep(&step, NULL);
	}
}

struct json *ctl_call(const struct config *config, const struct buf *command, bool may_make) {
	struct err err;
	struct buf reply = BUF_INIT;
	struct json *root = NULL;
	/* seal_init also forbids core dumps: the reply may hold a secret. */
	int result = command->failed ? err_set(&err, ERR_MEMORY, "out of memory") : seal_init(&err);
	if (result == 0) {
		result = call_either(config, buf_str(command), may_make, &reply, &err);
	}
	if (result == 0) {
		root = parse_reply(&reply, &err);
	}
	if (!root) {
		ctl_complain("%s", err.text);
	}
	wipe(&reply);
	return root;
}

bool ctl_ask_server(const struct config *config, struct json **reply) {
	struct err err;
	struct buf text = BUF_INIT;
	*reply = NULL;
	if (call_server(config, STR("{\"command\":\"status\"}"), &text, &err) == 0) {
		*reply = parse_reply(&text, &err);
	}
	if (!*reply) {
		ctl_complain("%s", err.text);
	}
	buf_free(&text);
	return *reply != NULL;
}

static const struct ctl_option *find_option(const struct ctl_option *options, const char *argument, size_t length) {
	for (; options->name; options++) {
		if (strlen(options->name) == length && !strncmp(options->name, argument, length)) {
			return options;
		}
	}
	return NULL;
}

int ctl_parse(int argc, char **argv, const struct ctl_option *options, const char **rest, int positionals) {
	int found = 0;
	for (int i = 1; i < argc; i++) {
		const char *argument = argv[i];
		if (argument[0] != '-') {
			if (found == positionals) {
				return ctl_misuse("unexpected argument '%s'", argument);
			}
			rest[found++] = argument;
			continue;
		}
		const char *equals = strchr(argument, '=');
		size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
		const struct ctl_option *option = find_option(options, argument, length);
		if (!option) {
			return ctl_misuse("unknown option '%.*s'", (int)length, argument);
		}
		if (!option->value) {
			if (equals) {
				return ctl_misuse("%s takes no value", option->name);
			}
			*option->given = true;
			continue;
		}
		const char *value = equals ? equals + 1 : argv[i + 1];
		if (!value) {
			return ctl_misuse("%s needs a value", option->name);
		}
		i += equals ? 0 : 1;
		*option->value = value;
	}
	return CTL_OK;
}
