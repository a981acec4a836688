#include "api.h"

#include <stdio.h>
#include <string.h>

#include "api_common.h"
#include "base/json.h"
#include "identity.h"

#define COOKIE_RULES "; Path=/; HttpOnly; SameSite=Strict"
#define COOKIE_SIZE 256

static void write_session(struct buf *body, const struct principal *who) {
	struct json_writer w = json_writer(body);
	jw_object(&w);
	jw_key(&w, "object");
	jw_text(&w, "session");
	jw_key(&w, "user");
	jw_object(&w);
	jw_key(&w, "id");
	jw_text(&w, who->user);
	jw_key(&w, "name");
	jw_text(&w, who->name);
	jw_object_end(&w);
	jw_key(&w, "expires_at");
	if (who->expires_ms > 0) {
		jw_int(&w, who->expires_ms / 1000);
	} else {
		jw_null(&w);
	}
	jw_object_end(&w);
}

/* A header line. Behind https:// the browser must never send the cookie without TLS. */
static void write_cookie(char line[static COOKIE_SIZE], const struct edge *edge, const char *value, int64_t lives_s) {
	snprintf(line, COOKIE_SIZE, "set-cookie: " IDENTITY_COOKIE "=%s" COOKIE_RULES "%s; Max-Age=%lld\r\n", value,
		 edge->tls ? "; Secure" : "", (long long)lives_s);
}

static void reply_session(struct exchange *exchange, const struct principal *who, const struct seal_token *token) {
	struct buf body = BUF_INIT;
	write_session(&body, who);
	char cookie[COOKIE_SIZE] = "";
	if (token) {
		int64_t left_s = (who->expires_ms - edge_wall_ms(exchange->edge)) / 1000;
		write_cookie(cookie, exchange->edge, token->text, left_s > 0 ? left_s : 0);
	}
	reply_send(exchange, &(struct reply){.status = body.failed ? 503 : 200,
					     .type = "application/json",
					     .body = buf_str(&body),
					     .headers = cookie});
	explicit_bzero(cookie, sizeof cookie);
	buf_free(&body);
}

static void on_redeemed(void *owner, const struct seal_token *token, const struct principal *who,
			const struct err *err) {
	struct exchange *exchange = owner;
	if (!err) {
		exchange->who = *who;
		reply_session(exchange, who, token);
	} else if (err->code == ERR_DENIED) {
		reply_code(exchange, API_INVALID_TOKEN);
	} else {
		api_reply_err(exchange, err, API_INVALID_TOKEN);
	}
}

/* Trades the token of a sign-in address for a session cookie. */
void api_session_create(struct exchange *exchange) {
	struct json *json = api_body_json(exchange);
	if (!json) {
		return;
	}
	struct api_error error;
	struct err err;
	const struct json *token = json_get(json, "token");
	int bad = 0;
	if (!token) {
		bad = api_error_set(&error, API_MISSING_FIELD, "token", "The field token is missing.");
	} else if (json_type(token) != JSON_STRING) {
		bad = api_error_set(&error, API_INVALID_TYPE, "token", "token must be a string.");
	} else if (auth_redeem_signin(exchange->edge->deps.auth, json_str(token), on_redeemed, exchange, &err)) {
		bad = api_error_set(&error, err.code == ERR_MEMORY ? API_OVERLOADED : API_INVALID_TOKEN, NULL, NULL);
	}
	json_free(&json);
	if (bad) {
		reply_error(exchange, &error);
		return;
	}
	exchange_wait(exchange);
}

void api_session_get(struct exchange *exchange) {
	struct principal who = exchange->who;
	reply_session(exchange, &who, NULL);
}

static void on_ended(void *owner, const struct err *err) {
	struct exchange *exchange = owner;
	if (err && err->code != ERR_NOT_FOUND) {
		api_reply_err(exchange, err, API_INVALID_KEY);
		return;
	}
	char cookie[COOKIE_SIZE];
	write_cookie(cookie, exchange->edge, "", 0);
	reply_send(exchange, &(struct reply){.status = 204, .headers = cookie});
}

void api_session_delete(struct exchange *exchange) {
	struct err err;
	if (auth_end_session(exchange->edge->deps.auth, exchange->who.credential, on_ended, exchange, &err)) {
		api_reply_err(exchange, &err, API_INVALID_KEY);
		return;
	}
	exchange_wait(exchange);
}
