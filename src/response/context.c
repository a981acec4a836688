#include "context.h"

#include "base/mem.h"

struct size {
	size_t messages;
	size_t joined;
};

static struct chat_part *only(struct context *context, struct str text) {
	struct chat_part *part = &context->parts[context->part_count++];
	part->text = text;
	return part;
}

static void measure(struct size *size, const struct item_list *list) {
	for (size_t i = 0; i < list->count; i++) {
		const struct item *item = &list->items[i];
		size->messages++;
		for (size_t p = 0; item->part_count > 1 && p < item->part_count; p++) {
			size->joined += item->parts[p].length;
		}
	}
}

static struct str item_text(struct context *context, const struct item *item) {
	if (item->part_count == 1) {
		return (struct str){item->parts[0].text, item->parts[0].length};
	}
	size_t start = context->joined.length;
	item_append_text(item, &context->joined);
	return (struct str){context->joined.data + start, context->joined.length - start};
}

/* Writes the list's messages so that they end before `at`; the new first place comes back. */
static size_t place(struct context *context, const struct item_list *list, size_t at) {
	for (size_t i = list->count; i-- > 0;) {
		const struct item *item = &list->items[i];
		context->messages[--at] = (struct chat_message){.role = item_role_name(item->role),
								.parts = only(context, item_text(context, item)),
								.part_count = 1};
	}
	return at;
}

int context_build(struct context *context, const char *instructions, const struct turn *parent,
		  const struct item_list *input) {
	struct size size = {.messages = instructions ? 1 : 0};
	*context = (struct context){0};
	measure(&size, input);
	for (const struct turn *turn = parent; turn; turn = turn->parent) {
		measure(&size, &turn->input);
		measure(&size, &turn->output);
	}
	context->messages = mem_zarray(size.messages + 1, sizeof *context->messages);
	context->parts = mem_zarray(size.messages + 1, sizeof *context->parts);
	/* Reserved at once: the views into it must not move. */
	if (!context->messages || !context->parts || (size.joined && !buf_reserve(&context->joined, size.joined))) {
		context_free(context);
		return -1;
	}
	size_t at = place(context, input, size.messages);
	for (const struct turn *turn = parent; turn; turn = turn->parent) {
		at = place(context, &turn->output, at);
		at = place(context, &turn->input, at);
	}
	if (instructions) {
		context->messages[0] = (struct chat_message){.role = item_role_name(ROLE_SYSTEM),
							     .parts = only(context, str_of(instructions)),
							     .part_count = 1};
	}
	context->count = size.messages;
	return 0;
}

size_t context_size(const struct context *context) {
	size_t size = 0;
	for (size_t i = 0; i < context->count; i++) {
		size += context->messages[i].parts[0].text.length;
	}
	return size;
}

void context_free(struct context *context) {
	mem_free(context->messages);
	mem_free(context->parts);
	buf_free(&context->joined);
	*context = (struct context){0};
}
