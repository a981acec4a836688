#include "answer.h"

void answer_init(struct answer *answer, const struct chat_reader_options *options) {
	*answer = (struct answer){.each = options->each, .owner = options->owner, .scratch = options->scratch};
	think_init(&answer->think, options->think);
}

void answer_free(struct answer *answer) {
	buf_free(&answer->logprobs);
	calls_free(&answer->calls);
}

static int show(const struct answer *answer, enum chat_delta_kind kind, struct str text) {
	return text.length > 0 ? answer->each(answer->owner, &(struct chat_delta){.kind = kind, .text = text}) : 0;
}

static int show_text(struct answer *answer, struct str text) {
	if (answer->logprobs.length == 0) {
		return show(answer, CHAT_DELTA_TEXT, text);
	}
	int stopped = answer->each(
		answer->owner,
		&(struct chat_delta){.kind = CHAT_DELTA_TEXT, .text = text, .logprobs = buf_str(&answer->logprobs)});
	buf_clear(&answer->logprobs);
	return stopped;
}

static int on_piece(void *owner, bool reasoning, struct str piece) {
	struct answer *answer = owner;
	return reasoning ? show(answer, CHAT_DELTA_REASONING, piece) : show_text(answer, piece);
}

int answer_text(struct answer *answer, struct str text) {
	if (answer->think.state == THINK_TEXT) {
		return show_text(answer, text);
	}
	if (think_feed(&answer->think, text, on_piece, answer)) {
		return -1;
	}
	if (answer->think.state == THINK_TEXT) {
		return show_text(answer, STR_NONE);
	}
	/* Tokens of reasoning have no logprobs to show; those of the beginning wait until it is known what they are. */
	if (answer->think.state != THINK_START) {
		buf_clear(&answer->logprobs);
	}
	return 0;
}

int answer_reasoning(struct answer *answer, struct str text) {
	bool undecided = answer->think.state == THINK_START || answer->think.state == THINK_OPENED;
	if (text.length > 0 && undecided) {
		if (think_end(&answer->think, on_piece, answer)) {
			return -1;
		}
		think_init(&answer->think, CHAT_THINK_OFF);
	}
	return show(answer, CHAT_DELTA_REASONING, text);
}

int answer_refusal(struct answer *answer, struct str text) {
	return show(answer, CHAT_DELTA_REFUSAL, text);
}

int answer_annotation(struct answer *answer, struct str json) {
	return show(answer, CHAT_DELTA_ANNOTATION, json);
}

int answer_call(struct answer *answer, const struct call_piece *piece, struct err *err) {
	struct chat_delta delta;
	if (calls_take(&answer->calls, piece, &delta, err)) {
		return -1;
	}
	return delta.call_begins || delta.text.length > 0 ? answer->each(answer->owner, &delta) : 0;
}

int answer_end(struct answer *answer, enum chat_finish finish, struct err *err) {
	if (finish != CHAT_FINISH_NONE) {
		answer->finish = finish;
	}
	if (think_end(&answer->think, on_piece, answer)) {
		return -1;
	}
	switch (answer->finish) {
	case CHAT_FINISH_LENGTH:
	case CHAT_FINISH_FILTER:
	case CHAT_FINISH_CUT:
		return 0;
	default:
		return calls_check(&answer->calls, err);
	}
}
