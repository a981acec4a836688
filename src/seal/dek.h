/* A data key as the layer itself sees it. */
#ifndef SLUICE_SEAL_DEK_H
#define SLUICE_SEAL_DEK_H

#include "seal/keyring.h"

struct key_page;

struct seal_dek {
	uint8_t key[SEAL_KEY_SIZE]; /* the whole struct lies in guarded memory */
	struct key_page *page;      /* the one that it lies in */
};

#endif
