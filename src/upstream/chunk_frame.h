/* What the chunks of one answer have in common. Most servers send, token after token, the same JSON around another text; so
 * what stands before and behind it is remembered, and when the next chunk has the same there, only its text is read. Pure.
 *
 * That is exact: chunk_scan has read the same bytes up to the text, where no text had been before, and goes on with the same
 * bytes behind it. */
#ifndef SLUICE_UPSTREAM_CHUNK_FRAME_H
#define SLUICE_UPSTREAM_CHUNK_FRAME_H

#include <stdint.h>

#include "chunk_scan.h"

/* Of one answer. Zeroed knows nothing yet. */
struct chunk_frame {
	char *bytes; /* head and tail, one behind the other */
	uint16_t head, tail;
	bool reasons;   /* its text is reasoning */
	uint8_t misses; /* chunks in a row that were of another form */
};

void chunk_frame_free(struct chunk_frame *frame);
/* As chunk_scan; but a service tier that stands in the frame is told only once. */
bool chunk_frame_scan(struct chunk_frame *frame, struct str data, struct buf *scratch, struct chunk_plain *plain);

#endif
