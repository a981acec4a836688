/* What several handlers need: ids out of the path, list parameters, errors of lower layers. */
#ifndef SLUICE_EDGE_API_COMMON_H
#define SLUICE_EDGE_API_COMMON_H

#include "base/json.h"
#include "exchange.h"
#include "proto/conversation.h"

struct list_query {
	char after[ID_SIZE]; /* "" from the start */
	uint32_t limit;
	bool ascending;
};

/* The id in the path; answers with `missing` and gives -1 when it can't be one. */
int api_path_id(struct exchange *exchange, char id[static ID_SIZE], enum api_error_code missing);
/* The same of the id behind that. */
int api_path_second_id(struct exchange *exchange, char id[static ID_SIZE], enum api_error_code missing);
/* Whether all query parameters bear one of the names, the last of which is NULL; else answers and gives -1: what is misspelt
 * must not be ignored. */
int api_query_names(struct exchange *exchange, const char *const *known);
int api_no_query(struct exchange *exchange); /* the same where none is known */
/* `limit`, `order` and `after`; answers with an error and gives -1. */
int api_list_query(struct exchange *exchange, struct list_query *query, uint32_t limit, uint32_t most, bool ascending);
/* Answers for an error of the store or what lies over it: ERR_NOT_FOUND as `missing`. */
void api_reply_err(struct exchange *exchange, const struct err *err, enum api_error_code missing);
/* The same for what changes a conversation: ERR_CONFLICT is one that is locked. */
void api_reply_edit_err(struct exchange *exchange, const struct err *err, enum api_error_code missing);
/* {"object":"list","data":[ … the caller writes the elements. */
struct json_writer api_list_begin(struct buf *body);
void api_list_end(struct json_writer *w, const char *first, const char *last, bool more);
/* Parses the body; answers and gives NULL when it is not a JSON object. */
struct json *api_body_json(struct exchange *exchange);
/* The body as one that changes conversations. Answers with an error and gives -1; else the caller frees it. */
int api_conversation_body(struct exchange *exchange, enum conversation_body_kind kind, struct conversation_body *body);
/* The body as a request to create a response, of which only these fields may be given (the last is NULL; a NULL list takes all).
 * Answers with an error and gives -1. */
int api_read_request(struct exchange *exchange, const char *const *fields, struct request *request);
/* Gives the request the idempotency key of the headers, if there is one. Empties it, answers with an error and gives -1 when
 * that can't be one. */
int api_read_key(struct exchange *exchange, struct request *request);
/* Answers with an error that came after the model was asked: a retry would be billed again, unless the model itself
 * refused. */
void api_reply_failure(struct exchange *exchange, const struct api_error *error);
/* Passes over the events that there are, for who answers with the whole. Whether the response has ended. */
bool api_read_to_end(struct cursor *cursor);
/* Opens the exchange's cursor on a response of its user, and waits for it. Answers with an error and gives -1. */
int api_watch(struct exchange *exchange, struct engine_watch *watch, const struct cursor_sink *sink);
/* Answers when no work could be started (memory); the exchange then is gone. */
bool api_started(struct exchange *exchange, struct conversation_op *op);

#endif
