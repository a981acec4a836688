/* The SQLite driver: sluice.db and keys.db in one folder. */
#ifndef SLUICE_STORE_SQLITE_H
#define SLUICE_STORE_SQLITE_H

#include "driver.h"

extern const struct store_driver sqlite_driver;

#endif
