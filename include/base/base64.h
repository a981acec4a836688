/* Base64 with the standard alphabet and padding (RFC 4648, section 4). Pure, any thread. */
#ifndef SLUICE_BASE_BASE64_H
#define SLUICE_BASE_BASE64_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Whether it decodes: groups of four, `=` only at the end, nothing else in between, no white space. The bits that padding
 * leaves over are not looked at. The empty text does, to nothing. */
bool base64_is_valid(struct str text);
/* Appends what the text stands for. -1 when it does not decode; `out` is untouched then. Memory that is out shows in
 * out->failed, as with every append. */
int base64_decode(struct str text, struct buf *out);

#endif
