/*
 * SipHash-2-4: a hash for tables. Who does not know the key cannot choose
 * what falls together.
 */
#ifndef SIPHASH_H
#define SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum {
	SIPHASH_KEY_SIZE = 16,
};

uint64_t siphash(const uint8_t key[static SIPHASH_KEY_SIZE], const void *p,
		 size_t n);

#endif
