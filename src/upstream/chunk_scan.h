/* The fast way to read a plain delta chunk, the one that comes once per token. Pure.
 *
 * It walks the whole JSON text by its grammar and says yes only when it knows every key and every value that it met,
 * and met no key twice: there is then nothing in the chunk but, perhaps, a piece of
 * text or of reasoning. Anything else is for chunk_parse. */
#ifndef SLUICE_UPSTREAM_CHUNK_SCAN_H
#define SLUICE_UPSTREAM_CHUNK_SCAN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Views into the chunk or, unescaped, into `scratch`. */
struct chunk_plain {
	struct str text, reasoning; /* at most one of the two holds anything */
	struct str service_tier;
	struct str
		quoted; /* the text or reasoning as it stands in the chunk, between its quotes; empty: there is none */
};

/* false: not known for certain, *plain untouched. */
bool chunk_scan(struct str data, struct buf *scratch, struct chunk_plain *plain);
/* Takes one string off the front of `rest`, from its first character to its closing quote. false: not known for certain. */
bool chunk_scan_string(struct str *rest, struct buf *scratch, struct str *text);

#endif
