#include "calls.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* The bounds of Open Responses for a call_id and a function's name. */
#define MAX_ID 64
#define MAX_NAME 64

struct call {
	int64_t index;
	char id[MAX_ID + 1];     /* as the server says it, cut */
	size_t id_length;        /* before it was cut */
	char name[MAX_NAME + 1]; /* "": not yet */
	bool id_shown;
	uint32_t number;
	struct buf held; /* arguments that came before the name */
};

void calls_free(struct calls *calls) {
	for (size_t i = 0; i < calls->count; i++) {
		buf_free(&calls->list[i].held);
	}
	mem_free(calls->list);
	*calls = (struct calls){0};
}

static bool has_id(const struct call *call, struct str id) {
	char cut[MAX_ID + 1];
	str_copy_cut(cut, sizeof cut, id);
	return call->id_length == id.length && strcmp(call->id, cut) == 0;
}

/* Whether a piece with this call's index is not about it: there are servers that number every call 0. */
static bool is_another(const struct call *call, const struct call_piece *piece) {
	if (piece->id.length > 0 && call->id[0] != '\0') {
		return !has_id(call, piece->id);
	}
	return piece->name.length > 0 && call->name[0] != '\0' && !str_is(piece->name, call->name);
}

static struct call *find_index(struct calls *calls, const struct call_piece *piece) {
	for (size_t i = calls->count; i-- > 0;) {
		if (calls->list[i].index == piece->index) {
			return is_another(&calls->list[i], piece) ? NULL : &calls->list[i];
		}
	}
	return NULL;
}

static struct call *find_id(struct calls *calls, struct str id) {
	for (size_t i = calls->count; i-- > 0;) {
		if (has_id(&calls->list[i], id)) {
			return &calls->list[i];
		}
	}
	return NULL;
}

/* The last one, for a piece that says nothing about whose it is; a name is the beginning of another. */
static struct call *find_last(struct calls *calls, const struct call_piece *piece) {
	struct call *last = calls->count > 0 ? &calls->list[calls->count - 1] : NULL;
	return last && piece->name.length > 0 && last->name[0] != '\0' ? NULL : last;
}

static struct call *find(struct calls *calls, const struct call_piece *piece) {
	if (piece->whole) {
		return NULL;
	}
	struct call *found = piece->index == CALLS_NO_INDEX ? NULL : find_index(calls, piece);
	if (!found && piece->id.length > 0) {
		return find_id(calls, piece->id);
	}
	return found || piece->index != CALLS_NO_INDEX ? found : find_last(calls, piece);
}

static struct call *add(struct calls *calls, int64_t index, struct err *err) {
	if (calls->count == CALLS_MAX) {
		err_set(err, ERR_INVALID, "more than %d function calls in one answer", CALLS_MAX);
		return NULL;
	}
	struct call *list = mem_realloc(calls->list, (calls->count + 1) * sizeof *list);
	if (!list) {
		err_set(err, ERR_MEMORY, "no memory for a function call");
		return NULL;
	}
	calls->list = list;
	struct call *call = &list[calls->count++];
	*call = (struct call){.index = index};
	return call;
}

static bool is_name(struct str name) {
	for (size_t i = 0; i < name.length; i++) {
		char c = name.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-') {
			return false;
		}
	}
	return name.length > 0 && name.length <= MAX_NAME;
}

/* Whether a client may be given it: no longer than a call_id may be, plain, and of no other call. */
static bool is_call_id(const struct calls *calls, struct str id) {
	for (size_t i = 0; i < id.length; i++) {
		char c = id.data[i];
		if (c < 0x21 || c > 0x7E || c == '"' || c == '\\') {
			return false;
		}
	}
	for (size_t i = 0; i < calls->count; i++) {
		if (calls->list[i].id_shown && str_is(id, calls->list[i].id)) {
			return false;
		}
	}
	return id.length > 0 && id.length <= MAX_ID;
}

static int keep(struct call *call, struct str arguments, struct err *err) {
	if (arguments.length > CALLS_MAX_UNNAMED - call->held.length) {
		return err_set(err, ERR_INVALID, "more than %d bytes of arguments before the function's name",
			       CALLS_MAX_UNNAMED);
	}
	buf_append_str(&call->held, arguments);
	return call->held.failed ? err_set(err, ERR_MEMORY, "no memory for a call's arguments") : 0;
}

static void show(const struct call *call, struct str arguments, struct chat_delta *delta) {
	*delta = (struct chat_delta){
		.kind = CHAT_DELTA_CALL,
		.text = arguments,
		.call = call->number,
		.call_id = str_of(call->id_shown ? call->id : ""),
		.call_name = str_of(call->name),
	};
}

/* Its name has come. */
static int begin(struct calls *calls, struct call *call, const struct call_piece *piece, struct chat_delta *delta,
		 struct err *err) {
	if (!is_name(piece->name)) {
		return err_set(err, ERR_INVALID, "a function's name is not 1 to %d of [a-zA-Z0-9_-]", MAX_NAME);
	}
	struct str arguments = piece->arguments;
	if (call->held.length > 0) {
		if (keep(call, arguments, err)) {
			return -1;
		}
		arguments = buf_str(&call->held);
	}
	str_copy(call->name, sizeof call->name, piece->name);
	call->number = calls->begun++;
	show(call, arguments, delta);
	delta->call_begins = true;
	return 0;
}

int calls_take(struct calls *calls, const struct call_piece *piece, struct chat_delta *delta, struct err *err) {
	*delta = (struct chat_delta){.kind = CHAT_DELTA_CALL};
	struct call *call = find(calls, piece);
	if (!call) {
		if (piece->id.length == 0 && piece->name.length == 0 && piece->arguments.length == 0) {
			return 0;
		}
		call = add(calls, piece->index, err);
		if (!call) {
			return -1;
		}
	}
	if (call->id[0] == '\0' && call->name[0] == '\0') {
		bool shown = is_call_id(calls, piece->id);
		str_copy_cut(call->id, sizeof call->id, piece->id);
		call->id_length = piece->id.length;
		call->id_shown = shown;
	}
	if (call->name[0] != '\0') {
		buf_free(&call->held);
		show(call, piece->arguments, delta);
		return 0;
	}
	return piece->name.length > 0 ? begin(calls, call, piece, delta, err) : keep(call, piece->arguments, err);
}

int calls_check(const struct calls *calls, struct err *err) {
	for (size_t i = 0; i < calls->count; i++) {
		if (calls->list[i].name[0] == '\0') {
			return err_set(err, ERR_INVALID, "a function call without a name");
		}
	}
	return 0;
}
