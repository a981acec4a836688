#include "cancel.h"

#include <string.h>

#include "base/mem.h"
#include "lanes.h"
#include "outlet.h"

struct lookup {
	struct list link;
	struct session *session;
	struct conversation_op *op;
	char tag[];
};

int cancel_response(struct session *session, struct str id) {
	return engine_cancel(session->edge->deps.engine, session->who.user, id);
}

static void tell_ended(struct session *session, const char *tag) {
	struct api_error error;
	api_error_set(&error, API_RESPONSE_NOT_ACTIVE, "response_id",
		      "The response has ended. GET /v1/responses/{id} has its state.");
	outlet_error(session, tag, &error);
}

static void on_looked_up(void *arg, struct stored_response *stored, const struct err *err) {
	struct lookup *lookup = arg;
	struct api_error error;
	list_remove(&lookup->link);
	if (!err) {
		tell_ended(lookup->session, lookup->tag);
	} else {
		enum api_error_code code = err->code == ERR_NOT_FOUND  ? API_RESPONSE_NOT_FOUND
					   : err->code == ERR_CONFLICT ? API_RESPONSE_NOT_ACTIVE
								       : API_STORAGE_FAILED;
		api_error_set(&error, code, code == API_STORAGE_FAILED ? NULL : "response_id", NULL);
		outlet_error(lookup->session, lookup->tag, &error);
	}
	stored_response_free(&stored);
	mem_free(lookup);
}

/* Stored and ended, or none at all: only the store can tell. -1 when memory is out. */
static int look_up(struct session *session, const char *tag, const char *id) {
	size_t size = strlen(tag) + 1;
	struct lookup *lookup = mem_zalloc(sizeof *lookup + size);
	if (!lookup) {
		return -1;
	}
	lookup->session = session;
	memcpy(lookup->tag, tag, size);
	lookup->op = conversation_read_response(session->edge->deps.conversations, session->who.user, id, on_looked_up,
						lookup);
	if (!lookup->op) {
		mem_free(lookup);
		return -1;
	}
	list_append(&session->lookups, &lookup->link);
	return 0;
}

void cancel_explain(struct session *session, const char *tag, struct str id) {
	struct api_error error;
	char name[ID_SIZE];
	if (lanes_remember(session, id)) {
		tell_ended(session, tag);
	} else if (id_copy(name, id)) {
		api_error_set(&error, API_RESPONSE_NOT_FOUND, "response_id", NULL);
		outlet_error(session, tag, &error);
	} else if (look_up(session, tag, name)) {
		api_error_set(&error, API_OVERLOADED, NULL, NULL);
		outlet_error(session, tag, &error);
	}
}

void cancel_free(struct session *session) {
	while (!list_empty(&session->lookups)) {
		struct lookup *lookup = container_of(session->lookups.next, struct lookup, link);
		list_remove(&lookup->link);
		conversation_cancel(&lookup->op);
		mem_free(lookup);
	}
}
