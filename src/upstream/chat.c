#include "upstream/chat.h"

#include "answer.h"
#include "base/mem.h"
#include "chunk_detail.h"
#include "chunk_frame.h"
#include "chunk_parse.h"

struct chat_reader {
	struct answer answer;
	struct chunk_frame frame;
};

struct chat_reader *chat_reader_new(const struct chat_reader_options *options, struct err *err) {
	struct chat_reader *reader = mem_zalloc(sizeof *reader);
	if (!reader) {
		err_set(err, ERR_MEMORY, "no memory for the reader of an answer");
		return NULL;
	}
	answer_init(&reader->answer, options);
	return reader;
}

void chat_reader_free(struct chat_reader **reader) {
	struct chat_reader *old = *reader;
	*reader = NULL;
	if (old) {
		answer_free(&old->answer);
		chunk_frame_free(&old->frame);
		mem_free(old);
	}
}

static int take_plain(struct answer *answer, const struct chunk_plain *plain, struct chat_chunk *chunk) {
	detail_tier(plain->service_tier, chunk->service_tier);
	return answer_reasoning(answer, plain->reasoning) || answer_text(answer, plain->text) ? -1 : 0;
}

int chat_reader_read(struct chat_reader *reader, struct str data, struct chat_chunk *chunk, struct err *err) {
	struct answer *answer = &reader->answer;
	struct chunk_plain plain;
	*chunk = (struct chat_chunk){0};
	if (chunk_frame_scan(&reader->frame, data, answer->scratch, &plain)) {
		return take_plain(answer, &plain, chunk);
	}
	if (str_is(str_trim(data), "[DONE]")) {
		chunk->done = true;
		return answer_end(answer, CHAT_FINISH_NONE, err);
	}
	return chunk_parse(data, answer, chunk, err);
}

/* What has a delta is no error. */
static int refuse(void *owner, const struct chat_delta *delta) {
	(void)owner, (void)delta;
	return -1;
}

void chat_error_read(struct str body, char *message, size_t message_size, char *code, size_t code_size) {
	struct chat_chunk chunk = {0};
	struct buf scratch = BUF_INIT;
	struct answer answer;
	answer_init(&answer, &(struct chat_reader_options){.scratch = &scratch, .each = refuse});
	if (chunk_parse(body, &answer, &chunk, NULL) == 0 && chunk.is_error) {
		str_copy_cut(message, message_size, str_of(chunk.error_text));
		str_copy_cut(code, code_size, str_of(chunk.error_code));
	} else {
		str_copy_cut(message, message_size, str_is_utf8(body) ? str_trim(body) : STR_NONE);
		str_copy_cut(code, code_size, STR_NONE);
	}
	answer_free(&answer);
	buf_free(&scratch);
}
