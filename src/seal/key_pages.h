/* Guarded memory for many data keys: pages of libsodium's guarded memory (kept out of dumps, out of swap as far as
 * RLIMIT_MEMLOCK reaches, a guard page before and behind), each shared by about a hundred keys. With a page for each, a key
 * of 32 bytes costs 8 KiB of memory, four of the kernel's mappings, of which a process may have 65,530, and a dozen system
 * calls. Any thread. Private to the seal layer. */
#ifndef SLUICE_SEAL_KEY_PAGES_H
#define SLUICE_SEAL_KEY_PAGES_H

#include "dek.h"

struct key_pages;

/* NULL when memory is out. */
struct key_pages *key_pages_new(void);
/* Every key must have been given back. */
void key_pages_free(struct key_pages **pages);
/* Room for a key, zeroed. NULL when guarded memory is out. Ends with key_pages_give_back. */
struct seal_dek *key_pages_take(struct key_pages *pages);
/* Wipes it. A page that holds no key any more goes back to the system, unless it is the only one with room. */
void key_pages_give_back(struct seal_dek *dek);

#endif
