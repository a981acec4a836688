#include "admin/command.h"

#include <string.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "seal/token.h"

#define OUT_OF_MEMORY STR("{\"ok\":false,\"code\":\"memory\",\"message\":\"out of memory\"}")
#define TEXT_SIZE 256 /* more than any valid name, so that auth judges what is too long */

struct admin {
	struct admin_deps deps;
	struct list requests; /* that wait for auth: struct request */
};

struct request {
	struct list node;
	struct admin *admin;
	admin_reply_fn *reply;
	void *owner;
};

struct admin *admin_new(const struct admin_deps *deps, struct err *err) {
	struct admin *admin = mem_zalloc(sizeof *admin);
	if (!admin) {
		err_set(err, ERR_MEMORY, "out of memory");
		return NULL;
	}
	admin->deps = *deps;
	list_init(&admin->requests);
	return admin;
}

static void request_free(struct request **request) {
	list_remove(&(*request)->node);
	mem_free(*request);
	*request = NULL;
}

void admin_forget(struct admin *admin, void *owner) {
	list_each(node, after, &admin->requests) {
		struct request *request = container_of(node, struct request, node);
		if (request->owner == owner) {
			auth_forget(admin->deps.auth, request);
			request_free(&request);
		}
	}
}

void admin_free(struct admin **admin_pointer) {
	struct admin *admin = *admin_pointer;
	if (!admin) {
		return;
	}
	*admin_pointer = NULL;
	list_each(node, after, &admin->requests) {
		struct request *request = container_of(node, struct request, node);
		auth_forget(admin->deps.auth, request);
		request_free(&request);
	}
	mem_free(admin);
}

/* --- replies ------------------------------------------------------------------------------------------------------- */

static struct json_writer begin_reply(struct buf *out, bool ok) {
	/* Enough for a reply with a secret, so that no copy of one is left behind where the buffer grew. */
	buf_reserve(out, 1024);
	struct json_writer writer = json_writer(out);
	jw_object(&writer);
	jw_key(&writer, "ok");
	jw_bool(&writer, ok);
	return writer;
}

/* Ends the reply, hands it over and wipes it: it may hold a secret. */
static void send_reply(struct request *request, struct buf *out, struct json_writer *writer) {
	jw_object_end(writer);
	struct str text = out->failed ? OUT_OF_MEMORY : buf_str(out);
	list_remove(&request->node);
	request->reply(request->owner, text);
	if (out->data) {
		seal_wipe(out->data, out->capacity);
	}
	buf_free(out);
	request_free(&request);
}

static void reply_error(struct request *request, const struct err *err) {
	struct buf out = BUF_INIT;
	struct json_writer writer = begin_reply(&out, false);
	jw_key(&writer, "code");
	jw_text(&writer, err_code_name(err->code));
	jw_key(&writer, "message");
	jw_text(&writer, err->text);
	send_reply(request, &out, &writer);
}

static void reply_done(void *owner, const struct err *err) {
	struct request *request = owner;
	if (err) {
		reply_error(request, err);
		return;
	}
	struct buf out = BUF_INIT;
	struct json_writer writer = begin_reply(&out, true);
	send_reply(request, &out, &writer);
}

static void reply_key(void *owner, const struct seal_token *token, const struct principal *who, const struct err *err) {
	struct request *request = owner;
	if (err) {
		reply_error(request, err);
		return;
	}
	struct buf out = BUF_INIT;
	struct json_writer writer = begin_reply(&out, true);
	jw_key(&writer, "key");
	jw_text(&writer, token->text);
	jw_key(&writer, "id");
	jw_text(&writer, token->id);
	jw_key(&writer, "user");
	jw_text(&writer, who->name);
	send_reply(request, &out, &writer);
}

static void reply_signin(void *owner, const struct seal_token *token, const struct principal *who,
			 const struct err *err) {
	struct request *request = owner;
	if (err) {
		reply_error(request, err);
		return;
	}
	struct buf url = BUF_INIT;
	buf_reserve(&url, strlen(request->admin->deps.base_url) + SEAL_TOKEN_SIZE + 16);
	/* In the fragment: it reaches no log, proxy or Referer. */
	buf_printf(&url, "%s/#signin=%s", request->admin->deps.base_url, token->text);
	struct buf out = BUF_INIT;
	struct json_writer writer = begin_reply(&out, true);
	jw_key(&writer, "token");
	jw_text(&writer, token->text);
	jw_key(&writer, "url");
	jw_str(&writer, buf_str(&url));
	jw_key(&writer, "user");
	jw_text(&writer, who->name);
	jw_key(&writer, "expires_at");
	jw_int(&writer, who->expires_ms / 1000);
	out.failed |= url.failed;
	if (url.data) {
		seal_wipe(url.data, url.capacity);
	}
	buf_free(&url);
	send_reply(request, &out, &writer);
}

/* --- commands ------------------------------------------------------------------------------------------------------ */

/* Copies a text out of the command; an absent one is `missing`, or refused when that is NULL. */
static int take_text(const struct json *command, const char *key, char *to, size_t size, const char *missing,
		     struct err *err) {
	const struct json *value = json_get(command, key);
	if (!value && missing) {
		return str_copy(to, size, str_of(missing));
	}
	if (!value || json_type(value) != JSON_STRING) {
		return err_set(err, ERR_INVALID, "%s must be a string", key);
	}
	if (str_copy(to, size, json_str(value))) {
		return err_set(err, ERR_INVALID, "%s is too long", key);
	}
	return 0;
}

static int run_key_create(struct request *request, const struct json *command, struct err *err) {
	char user[TEXT_SIZE];
	char label[TEXT_SIZE];
	if (take_text(command, "user", user, sizeof user, NULL, err) ||
	    take_text(command, "label", label, sizeof label, "", err)) {
		return -1;
	}
	return auth_create_key(request->admin->deps.auth, user, label, reply_key, request, err);
}

static void list_key(void *owner, const struct auth_key_info *key) {
	struct json_writer *writer = owner;
	jw_object(writer);
	jw_key(writer, "id");
	jw_text(writer, key->id);
	jw_key(writer, "user");
	jw_text(writer, key->user);
	jw_key(writer, "label");
	jw_text(writer, key->label);
	jw_key(writer, "created_at");
	jw_int(writer, key->created_ms / 1000);
	jw_key(writer, "revoked_at");
	if (key->revoked_ms) {
		jw_int(writer, key->revoked_ms / 1000);
	} else {
		jw_null(writer);
	}
	jw_object_end(writer);
}

static int run_key_list(struct request *request, const struct json *command, struct err *err) {
	(void)command;
	(void)err;
	struct buf out = BUF_INIT;
	struct json_writer writer = begin_reply(&out, true);
	jw_key(&writer, "keys");
	jw_array(&writer);
	auth_each_key(request->admin->deps.auth, list_key, &writer);
	jw_array_end(&writer);
	send_reply(request, &out, &writer);
	return 0;
}

static int run_key_revoke(struct request *request, const struct json *command, struct err *err) {
	char id[TEXT_SIZE];
	if (take_text(command, "id", id, sizeof id, NULL, err)) {
		return -1;
	}
	return auth_revoke_key(request->admin->deps.auth, id, reply_done, request, err);
}

static int run_signin(struct request *request, const struct json *command, struct err *err) {
	char user[TEXT_SIZE];
	if (take_text(command, "user", user, sizeof user, NULL, err)) {
		return -1;
	}
	if (request->admin->deps.base_url[0] == '\0') {
		return err_set(err, ERR_CONFLICT,
			       "the server's address is not known: start the server, or set [server] public_url");
	}
	return auth_create_signin(request->admin->deps.auth, user, reply_signin, request, err);
}

static int run_status(struct request *request, const struct json *command, struct err *err) {
	(void)command;
	(void)err;
	struct err health;
	struct buf out = BUF_INIT;
	struct json_writer writer = begin_reply(&out, true);
	jw_key(&writer, "version");
	jw_text(&writer, SLUICE_VERSION);
	jw_key(&writer, "store");
	jw_text(&writer, store_health(request->admin->deps.store, &health) ? health.text : "ok");
	send_reply(request, &out, &writer);
	return 0;
}

static const struct {
	const char *name;
	/* Sees to the reply, or returns -1 and leaves it to the caller. */
	int (*run)(struct request *request, const struct json *command, struct err *err);
} commands[] = {
	{"key.create", run_key_create}, {"key.list", run_key_list}, {"key.revoke", run_key_revoke},
	{"signin", run_signin},         {"status", run_status},
};

static int run(struct request *request, struct str text, struct err *err) {
	struct json *command = json_parse(text, err);
	if (!command) {
		return -1;
	}
	struct str name = json_str(json_get(command, "command"));
	int result = -1;
	bool known = false;
	for (size_t i = 0; !known && i < sizeof commands / sizeof commands[0]; i++) {
		if (str_is(name, commands[i].name)) {
			known = true;
			result = commands[i].run(request, command, err);
		}
	}
	if (!known) {
		err_set(err, ERR_INVALID, "there is no such command");
	}
	json_free(&command);
	return result;
}

void admin_execute(struct admin *admin, struct str command, admin_reply_fn *reply, void *owner) {
	struct request *request = mem_zalloc(sizeof *request);
	if (!request) {
		reply(owner, OUT_OF_MEMORY);
		return;
	}
	request->admin = admin;
	request->reply = reply;
	request->owner = owner;
	list_append(&admin->requests, &request->node);
	struct err err;
	if (run(request, command, &err)) {
		reply_error(request, &err);
	}
}
