#include "references.h"

#include <stdio.h>
#include <string.h>

#include "failure.h"

static bool has_item(const struct item_list *list, size_t count, const char *id) {
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list->items[i].id, id) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether the model is shown it anyway. */
static bool is_in_context(const struct response *r, const char *id) {
	for (const struct turn *turn = r->parent; turn; turn = turn->parent) {
		if (has_item(&turn->input, turn->input.count, id) || has_item(&turn->output, turn->output.count, id)) {
			return true;
		}
	}
	return has_item(&r->input, r->looked_at, id);
}

static int refuse_at(const struct response *r, enum api_error_code code, const char *what, struct api_error *error) {
	char param[sizeof error->param];
	snprintf(param, sizeof param, "input[%zu].id", r->looked_at);
	return api_error_set(error, code, param, "%s: %s", param, what);
}

static void on_item(void *owner, struct item *item, const struct err *err) {
	struct response *r = owner;
	struct api_error error = {0};
	r->loading = NULL;
	if (!err) {
		struct item *reference = &r->input.items[r->looked_at++];
		item_free(reference);
		*reference = *item;
		*item = (struct item){0};
	} else if (err->code == ERR_NOT_FOUND) {
		refuse_at(r, API_ITEM_NOT_FOUND, "no stored item of this user has this id; send the item itself",
			  &error);
	} else {
		failure_of_store(err, &error);
	}
	r->referred(r, err ? &error : NULL);
}

int references_next(struct response *r, references_fn *done, struct api_error *error) {
	while (r->looked_at < r->input.count && r->input.items[r->looked_at].kind != ITEM_REFERENCE) {
		r->looked_at++;
	}
	if (r->looked_at == r->input.count) {
		return 1;
	}
	const char *id = r->input.items[r->looked_at].id;
	if (is_in_context(r, id)) {
		return refuse_at(r, API_INVALID_VALUE, "the item is part of the conversation already; leave it out",
				 error);
	}
	r->referred = done;
	r->loading = conversation_find_item(r->deps->conversations, r->owner, id, on_item, r);
	return r->loading ? 0 : api_error_set(error, API_OVERLOADED, NULL, NULL);
}
