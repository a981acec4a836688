/* The errors that a client can get: one table, one row a code, with status, type, cause and cure. docs/protocol.md shows
 * the same table (a test compares them). Open Responses: ErrorPayload, WebSocketErrorEvent. Pure. */
#ifndef SLUICE_PROTO_ERROR_H
#define SLUICE_PROTO_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* X(symbol, code, status, type, cause, cure) */
#define API_ERRORS(X)                                                                                                  \
	X(INVALID_JSON, "invalid_json", 400, "invalid_request_error",                                                  \
	  "The body or message is not JSON, or breaks a bound of the JSON gate.",                                      \
	  "Send one JSON object in UTF-8; the message names the byte.")                                                \
	X(INVALID_TYPE, "invalid_type", 400, "invalid_request_error", "A field has the wrong JSON type.",              \
	  "Send the type that the message names for `param`.")                                                         \
	X(INVALID_VALUE, "invalid_value", 400, "invalid_request_error",                                                \
	  "A field's value is out of its bounds or unknown.",                                                          \
	  "Send one of the values that the message names for `param`.")                                                \
	X(MISSING_FIELD, "missing_required_parameter", 400, "invalid_request_error", "A required field is missing.",   \
	  "Add the field that `param` names.")                                                                         \
	X(UNKNOWN_FIELD, "unknown_parameter", 400, "invalid_request_error", "A field that this server does not know.", \
	  "Remove the field, or check its spelling.")                                                                  \
	X(UNSUPPORTED, "unsupported_parameter", 400, "invalid_request_error",                                          \
	  "A field of the specification that this server or its model can't honour.",                                  \
	  "Leave it out; it is never ignored in silence.")                                                             \
	X(UNKNOWN_EVENT, "unknown_event", 400, "invalid_request_error",                                                \
	  "A WebSocket message whose `type` is unknown.",                                                              \
	  "Send `response.create` or another type of docs/protocol.md.")                                               \
	X(BINARY_FRAME, "binary_not_supported", 400, "invalid_request_error", "A binary WebSocket message.",           \
	  "Send JSON in a text message.")                                                                              \
	X(MESSAGE_TOO_LARGE, "message_too_large", 413, "invalid_request_error",                                        \
	  "The body or message passes the size limit.", "Send less; [limits] max_message raises the bound.")           \
	X(UNSUPPORTED_MEDIA, "unsupported_media_type", 415, "invalid_request_error",                                   \
	  "The body is not application/json.", "Send Content-Type: application/json.")                                 \
	X(CONTEXT_TOO_LARGE, "context_length_exceeded", 400, "invalid_request_error",                                  \
	  "The turns so far and the new input are together larger than a context may be.",                             \
	  "Start a new conversation, or send a shorter input; [limits] max_context raises the bound.")                 \
	X(MODEL_NOT_FOUND, "model_not_found", 404, "invalid_request_error", "The upstream does not serve this model.", \
	  "Ask GET /v1/models; or leave `model` out for the default.")                                                 \
	X(PARENT_NOT_FOUND, "previous_response_not_found", 404, "invalid_request_error",                               \
	  "No such response of this user; or it was not stored and belongs to another connection.",                    \
	  "Send the whole input, without previous_response_id.")                                                       \
	X(PARENT_NOT_READY, "previous_response_not_ready", 409, "invalid_request_error",                               \
	  "The previous response is still in progress.", "Wait for its terminal event.")                               \
	X(RESPONSE_NOT_FOUND, "response_not_found", 404, "invalid_request_error", "No such response of this user.",    \
	  "Check the id and the key; responses with store: false are not kept.")                                       \
	X(RESPONSE_NOT_ACTIVE, "response_not_active", 409, "invalid_request_error",                                    \
	  "The response has ended or is still running, and the request needs the opposite.",                           \
	  "Get its state with GET /v1/responses/{id}.")                                                                \
	X(IDEMPOTENCY_REUSED, "idempotency_key_reused", 409, "invalid_request_error",                                  \
	  "The idempotency key was used within a day for another request.",                                            \
	  "Do not retry: a new request needs a new key.")                                                              \
	X(IDEMPOTENCY_SPENT, "idempotency_answer_not_kept", 409, "invalid_request_error",                              \
	  "The first request with this idempotency key was answered, and the answer is not kept (store: false).",      \
	  "Do not retry: send a new key if the model is to be asked, and paid, again.")                                \
	X(CONVERSATION_NOT_FOUND, "conversation_not_found", 404, "invalid_request_error",                              \
	  "No such conversation of this user.", "List them with GET /v1/conversations.")                               \
	X(CONVERSATION_LOCKED, "conversation_locked", 409, "invalid_request_error",                                    \
	  "A response of the conversation is still in progress.", "Wait for its terminal event, or cancel it.")        \
	X(ITEM_NOT_FOUND, "item_not_found", 404, "invalid_request_error", "No such item of this user.",                \
	  "List the items of its conversation; or send the item itself.")                                              \
	X(NOT_FOUND, "not_found", 404, "invalid_request_error", "No such path.", "See the table of endpoints.")        \
	X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, "invalid_request_error",                                      \
	  "The path exists, the method does not.", "Use a method that the Allow header names.")                        \
	X(INVALID_KEY, "invalid_api_key", 401, "authentication_error",                                                 \
	  "No key, or one that is wrong, expired or revoked.",                                                         \
	  "Send Authorization: Bearer KEY; make one with sluicectl key create.")                                       \
	X(INVALID_TOKEN, "invalid_token", 401, "authentication_error", "The sign-in token is wrong, expired or used.", \
	  "Ask for a new address with sluicectl signin.")                                                              \
	X(ORIGIN_DENIED, "origin_not_allowed", 403, "permission_error",                                                \
	  "A browser's Origin that is not this server's.", "Add it to [server] origins.")                              \
	X(RATE_LIMITED, "rate_limit_exceeded", 429, "rate_limit_error",                                                \
	  "Too many requests or bytes on this connection or of this user.",                                            \
	  "Wait for retry_after_ms or the Retry-After header.")                                                        \
	X(QUEUE_FULL, "turn_queue_full", 429, "rate_limit_error",                                                      \
	  "Too many turns wait behind the running ones of this connection.",                                           \
	  "Wait for a terminal event before sending the next turn.")                                                   \
	X(INVALID_STREAM_ID, "invalid_stream_id", 400, "invalid_request_error",                                        \
	  "A stream_id that is not a string of 1 to 256 of A-Z a-z 0-9 _ . -",                                         \
	  "Name the lane with those characters, or leave stream_id out.")                                              \
	X(STREAM_LIMIT, "websocket_stream_limit_reached", 400, "invalid_request_error",                                \
	  "Every lane that the connection may have is at work.",                                                       \
	  "Use a stream_id that is open already, or wait until one has no turn.")                                      \
	X(SUBSCRIPTION_LIMIT, "subscription_limit_reached", 429, "rate_limit_error",                                   \
	  "The connection watches as many conversations as it may.",                                                   \
	  "Unsubscribe from one, or open another connection.")                                                         \
	X(BACKGROUND_LIMIT, "background_limit_reached", 429, "rate_limit_error",                                       \
	  "As many background responses of this user run as may.",                                                     \
	  "Wait until one has ended, or cancel one; [limits] max_unwatched raises the bound.")                         \
	X(CONNECTION_LIMIT, "websocket_connection_limit_reached", 400, "invalid_request_error",                        \
	  "The connection has lived as long as it may.", "Connect again and continue with previous_response_id.")      \
	X(UPSTREAM_FAILED, "upstream_failed", 502, "server_error",                                                     \
	  "The model's server refused, failed or spoke no Chat Completions; the message says which.",                  \
	  "Try again; the operator finds the cause in the log.")                                                       \
	X(UPSTREAM_REJECTED, "upstream_rejected", 400, "invalid_request_error",                                        \
	  "The model's server did not accept the request (a 4xx answer); the message says why.",                       \
	  "Change what it complains about: the same request would be rejected again.")                                 \
	X(TOOL_NOT_ALLOWED, "tool_call_not_allowed", 502, "server_error",                                              \
	  "The model called a function that tool_choice does not allow; the call is not shown.",                       \
	  "Try again, or allow the function.")                                                                         \
	X(UPSTREAM_TIMEOUT, "upstream_timeout", 504, "server_error", "The model's server did not answer in time.",     \
	  "Try again.")                                                                                                \
	X(UPSTREAM_RATE_LIMITED, "upstream_rate_limited", 429, "rate_limit_error", "The model's server limits us.",    \
	  "Wait for Retry-After and try again.")                                                                       \
	X(STORAGE_FULL, "storage_full", 507, "server_error", "The disk is full; nothing new can be stored.",           \
	  "Free space; or send store: false.")                                                                         \
	X(STORAGE_FAILED, "storage_failed", 500, "server_error", "The transcript could not be written or read.",       \
	  "Try again; the operator finds the cause in the log.")                                                       \
	X(STORAGE_UNKNOWN, "storage_outcome_unknown", 500, "server_error",                                             \
	  "A write failed in such a way that it may or may not be there.",                                             \
	  "GET the response after a while before repeating the turn.")                                                 \
	X(OVERLOADED, "server_overloaded", 503, "server_error", "The server is full or out of memory.",                \
	  "Wait for Retry-After and try again.")                                                                       \
	X(DRAINING, "server_draining", 503, "server_error", "The server is about to stop.",                            \
	  "Connect again in a moment.")                                                                                \
	X(INTERNAL, "internal_error", 500, "server_error", "A fault of the server.", "Report it with the x-request-id.")

#define API_ERROR_SYMBOL(symbol, code, status, type, cause, cure) API_##symbol,
enum api_error_code { API_OK, API_ERRORS(API_ERROR_SYMBOL) API_ERROR_COUNT };
#undef API_ERROR_SYMBOL

/* The state of a request limit, as x-ratelimit-* tells it. */
struct api_limit_state {
	bool known;
	uint32_t limit;
	uint32_t remaining;
	int64_t reset_ms; /* until the whole burst is there again */
};

struct api_error {
	enum api_error_code code;
	char param[96]; /* "" when no field is to blame */
	char message[320];
	int64_t retry_after_ms; /* -1: nothing to say */
	struct api_limit_state requests;
};

struct api_error_row {
	const char *code;
	int status;
	const char *type;
	const char *cause;
	const char *cure;
};

const struct api_error_row *api_error_row(enum api_error_code code);
/* The code of this name; API_OK when there is none. */
enum api_error_code api_error_named(struct str name);

/* Fills it, with retry_after_ms -1 and no limit state; returns -1. `param` may be NULL; `format` NULL takes the cause and
 * the cure. */
int api_error_set(struct api_error *error, enum api_error_code code, const char *param, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A header that goes with an answer: its name in lower case (static) and its value. */
struct api_header {
	const char *name;
	char value[32];
};

#define API_ERROR_HEADERS 6
/* The x-ratelimit-*-requests headers of a limit state; 0 of them when it is not known. */
size_t api_limit_headers(const struct api_limit_state *state, struct api_header headers[static 3]);
/* The same for an error, and retry-after (seconds, rounded up) and retry-after-ms when it has one, and
 * x-should-retry: false where SDKs, which repeat after a 409, must not. How many there are. */
size_t api_error_headers(const struct api_error *error, struct api_header headers[static API_ERROR_HEADERS]);

/* {"error":{"message","type","param","code"}} of HTTP */
void api_error_write_body(struct buf *out, const struct api_error *error);
/* {"type":"error","status",…,"error":{…,"retry_after_ms","headers"},"headers"} of WebSocket; headers only when there are any */
void api_error_write_event(struct buf *out, const struct api_error *error);

#endif
