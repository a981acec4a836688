/* What a chunk says about its text, in the words of Open Responses. Pure. */
#ifndef SLUICE_UPSTREAM_CHUNK_DETAIL_H
#define SLUICE_UPSTREAM_CHUNK_DETAIL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"
#include "upstream/chat.h"

/* Appends the tokens of a choice's logprobs.content as LogProb objects, separated by commas, also from what `out`
 * already holds. What has no token or no logprob is left out; bytes that are missing are those of the token. */
void detail_logprobs(const struct json *content, struct buf *out);

/* Appends a UrlCitationBody; false, and nothing, when it is no url_citation or has no url. Takes the nested form
 * ({"type", "url_citation": {"url", …}}) and the flat one. */
bool detail_annotation(const struct json *annotation, struct buf *out);

/* A service_tier as it may be shown: copied if it is made of [a-z_] and fits, else `tier` is "". */
void detail_tier(struct str said, char tier[static CHAT_TIER_SIZE]);

#endif
