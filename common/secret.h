/*
 * Random bytes, digests, and comparing without telling how far it went.
 */
#ifndef SECRET_H
#define SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SHA1_SIZE = 20,
	SHA256_SIZE = 32,
	TOKEN_SIZE = 44, /**< A token's characters with the NUL */
};

/** Of so many bytes as base64, with the NUL */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

int random_bytes(void *p, size_t n);
int random_token(char token[static TOKEN_SIZE]);
int sha256(uint8_t out[static SHA256_SIZE], const void *p, size_t n);
int hmac_sha256(uint8_t out[static SHA256_SIZE], const void *key,
		size_t key_len, const void *p, size_t n);
int secret_hmac_sha1(uint8_t out[static SHA1_SIZE], const void *key,
		     size_t key_len, const void *p, size_t n);
uint64_t table_hash(uint8_t salt, const void *p, size_t n);
bool secret_equal(const void *a, const void *b, size_t n);
void secret_wipe(void *p, size_t n);
void secret_base64_encode(char *out, const uint8_t *p, size_t n);
int secret_base64_decode(uint8_t *out, size_t size, size_t *len, const char *p,
			 size_t n);

#endif
