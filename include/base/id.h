/* Identifiers: "resp_" and 40 hex digits, 12 of them the time in milliseconds and 28 random (112 bits), so that
 * they sort by age and can't be guessed. Any thread. */
#ifndef SLUICE_BASE_ID_H
#define SLUICE_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define ID_SIZE 64 /* room for any id of ours and a NUL; prefix at most 16 characters */

/* Writes `prefix` "_" and the digits. Aborts the process only if the kernel has no randomness to give. */
void id_make(char id[static ID_SIZE], const char *prefix, int64_t wall_ms);
/* Whether `s` has the form that id_make gives for this prefix. */
bool id_is(struct str s, const char *prefix);
/* Copies any id that fits, made of [A-Za-z0-9_-]; -1 otherwise. */
int id_copy(char id[static ID_SIZE], struct str from);

#endif
