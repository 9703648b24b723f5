/*
 * SipHash-2-4 as its authors describe it (Aumasson, Bernstein, 2012).
 */
#include "common/siphash.h"

enum {
	WORD = 8,
	ROUNDS = 2,
	ROUNDS_END = 4,
};

struct state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static uint64_t little_endian(const uint8_t *p, size_t n)
{
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)p[i] << (8 * i);

	return x;
}

static void mix(struct state *s, int rounds)
{
	while (rounds--) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

static void take(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	mix(s, ROUNDS);
	s->v0 ^= word;
}

uint64_t siphash(const uint8_t key[static SIPHASH_KEY_SIZE], const void *p,
		 size_t n)
{
	const uint64_t k0 = little_endian(key, WORD);
	const uint64_t k1 = little_endian(key + WORD, WORD);
	const uint8_t *at = p, *end = at + n - n % WORD;
	struct state s = {
		k0 ^ 0x736f6d6570736575,
		k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573,
	};

	for (; at < end; at += WORD)
		take(&s, little_endian(at, WORD));
	take(&s, (uint64_t)n << 56 | little_endian(at, n % WORD));
	s.v2 ^= 0xff;
	mix(&s, ROUNDS_END);

	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
