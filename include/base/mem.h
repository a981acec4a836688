/* All of sluice's own allocations go through here, so that a test can make the nth one fail.
 *
 * Any thread. Every function returns NULL when memory is out (or a test says so); callers must handle it. */
#ifndef SLUICE_BASE_MEM_H
#define SLUICE_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);                          /* zeroed */
void *mem_zarray(size_t count, size_t size);            /* zeroed; refuses count * size that overflows */
void *mem_realloc(void *old, size_t size);              /* on failure `old` stays valid */
char *mem_strdup(const char *text);                     /* NULL gives NULL */
char *mem_memdup_str(const char *bytes, size_t length); /* a NUL is put behind the copy */
void mem_free(void *pointer);                           /* NULL is fine */

/* Test hook: allocation number `nth` (1 is the next) fails, once or with all that follow. 0 switches it off. */
void mem_fail_after(uint64_t nth, bool persistent);
/* How many allocations were asked for since the start of the process. */
uint64_t mem_alloc_count(void);

#endif
