/* The thorough way to read a chunk: through the JSON gate and a tree. Pure. Also reads a whole completion, the answer
 * of a server that does not stream: a chunk whose one choice has a `message` in the place of the `delta`. */
#ifndef SLUICE_UPSTREAM_CHUNK_PARSE_H
#define SLUICE_UPSTREAM_CHUNK_PARSE_H

#include "answer.h"

/* As chat_reader_read, but for [DONE]. `chunk` is zeroed by the caller. */
int chunk_parse(struct str data, struct answer *answer, struct chat_chunk *chunk, struct err *err);

#endif
