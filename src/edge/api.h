/* The handlers of the HTTP API. Each gets an exchange whose access and body are in order, and ends it, now or later. */
#ifndef SLUICE_EDGE_API_H
#define SLUICE_EDGE_API_H

#include "exchange.h"

void api_response_create(struct exchange *exchange);
void api_response_get(struct exchange *exchange);
void api_response_delete(struct exchange *exchange);
void api_response_cancel(struct exchange *exchange);
void api_response_compact(struct exchange *exchange);
void api_response_tokens(struct exchange *exchange);
void api_response_input_items(struct exchange *exchange);

void api_chat_create(struct exchange *exchange);

void api_conversation_list(struct exchange *exchange);
void api_conversation_create(struct exchange *exchange);
void api_conversation_get(struct exchange *exchange);
void api_conversation_update(struct exchange *exchange);
void api_conversation_delete(struct exchange *exchange);
void api_conversation_reply(struct exchange *exchange, const char *id); /* reads it and answers with it */

void api_item_list(struct exchange *exchange);
void api_item_create(struct exchange *exchange);
void api_item_get(struct exchange *exchange);
void api_item_delete(struct exchange *exchange);

void api_session_create(struct exchange *exchange);
void api_session_get(struct exchange *exchange);
void api_session_delete(struct exchange *exchange);

void api_models(struct exchange *exchange);
void api_model(struct exchange *exchange);

void api_health(struct exchange *exchange);
void api_ready(struct exchange *exchange);
void api_metrics(struct exchange *exchange);

#endif
