/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012) with 64 bits of output. Pure. */
#ifndef SLUICE_BASE_SIPHASH_H
#define SLUICE_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_SIZE 16

uint64_t siphash(const uint8_t key[static SIPHASH_KEY_SIZE], const void *bytes, size_t length);

#endif
