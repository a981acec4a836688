/* Random bytes from the kernel. Any thread. */
#ifndef SLUICE_BASE_RANDOM_H
#define SLUICE_BASE_RANDOM_H

#include <stddef.h>

/* Fills `to`, at most 256 bytes. Aborts the process if the kernel has no randomness to give: an identifier or a hash
 * key that can be guessed is worse than no server. */
void random_bytes(void *to, size_t length);

#endif
