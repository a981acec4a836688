/* The folder of a store that lives in files: its making, its lock, its files' modes. */
#ifndef SLUICE_STORE_FOLDER_H
#define SLUICE_STORE_FOLDER_H

#include "base/err.h"

/* Makes the folder (mode 0700) if it is missing; its parent must be there. */
int folder_make(const char *dir, struct err *err);
/* Takes DIR/lock for this process, until the descriptor is closed. ERR_CONFLICT when another process has it. Returns
 * the descriptor, or -1. */
int folder_lock(const char *dir, struct err *err);
/* Makes an empty file of mode 0600 unless it is there, and syncs the folder. */
int folder_touch(const char *dir, const char *file, struct err *err);

#endif
