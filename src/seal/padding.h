/* Hides how long a sealed text is: a mark and zeros up to one of few sizes (256-byte steps to 4 KiB, PADMÉ above). Pure. */
#ifndef SLUICE_SEAL_PADDING_H
#define SLUICE_SEAL_PADDING_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define PADDING_STEP 256
/* Far beyond any message that the server takes, and small enough that no length here can overflow. */
#define PADDING_MAX_TEXT ((size_t)256 << 20)

/* The size that a text of `length` bytes, at most PADDING_MAX_TEXT, and its mark are padded to. */
size_t padding_size(size_t length);
/* Writes the text, its mark and the zeros: padding_size(text.length) bytes at `at`. */
void padding_put(uint8_t *at, struct str text);
/* The length of the text within its padding. -1 when it is not padded as padding_put does. */
int padding_length(const uint8_t *padded, size_t size, size_t *length);

#endif
