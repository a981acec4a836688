#include "conversation/turn.h"

#include "base/mem.h"
#include "base/str.h"

struct turn *turn_new(struct turn *parent, const char *response_id, struct item_list *input, struct item_list *output) {
	struct turn *turn = mem_zalloc(sizeof *turn);
	if (!turn) {
		return NULL;
	}
	turn->references = 1;
	turn->parent = turn_hold(parent);
	str_copy_cut(turn->response_id, sizeof turn->response_id, str_of(response_id));
	turn->input = *input;
	turn->output = *output;
	*input = (struct item_list){0};
	*output = (struct item_list){0};
	return turn;
}

struct turn *turn_hold(struct turn *turn) {
	if (turn) {
		turn->references++;
	}
	return turn;
}

void turn_release(struct turn **turn) {
	struct turn *current = *turn;
	*turn = NULL;
	while (current && --current->references == 0) {
		struct turn *parent = current->parent;
		item_list_free(&current->input);
		item_list_free(&current->output);
		mem_free(current);
		current = parent;
	}
}
