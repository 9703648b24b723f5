#include "common/secret.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum {
	TOKEN_BYTES = 32,
	BASE64_MAX = 4096,
	TABLE_KEY_LEN = 16,
};

int random_bytes(void *p, size_t n)
{
	if (n > INT32_MAX || RAND_bytes(p, (int)n) != 1)
		return EIO;

	return 0;
}

/** 256 random bits as base64url without padding (RFC 4648, section 5) */
int random_token(char token[static TOKEN_SIZE])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij"
				       "klmnopqrstuvwxyz0123456789-_";
	uint8_t raw[TOKEN_BYTES + 1] = {0};
	int err = random_bytes(raw, TOKEN_BYTES);

	if (err)
		return err;
	for (size_t i = 0; i < TOKEN_SIZE - 1; i++) {
		const size_t bit = i * 6;
		const unsigned two =
			(unsigned)raw[bit / 8] << 8 |
			(bit / 8 + 1 < sizeof(raw) ? raw[bit / 8 + 1] : 0U);

		token[i] = alphabet[two >> (10 - bit % 8) & 63];
	}
	token[TOKEN_SIZE - 1] = '\0';
	secret_wipe(raw, sizeof(raw));

	return 0;
}

int sha256(uint8_t out[static SHA256_SIZE], const void *p, size_t n)
{
	return EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : EIO;
}

static int hmac(const EVP_MD *hash, uint8_t *out, const void *key,
		size_t key_len, const void *p, size_t n)
{
	if (key_len > INT32_MAX ||
	    !HMAC(hash, key, (int)key_len, p, n, out, NULL))
		return EIO;

	return 0;
}

int hmac_sha256(uint8_t out[static SHA256_SIZE], const void *key,
		size_t key_len, const void *p, size_t n)
{
	return hmac(EVP_sha256(), out, key, key_len, p, n);
}

/** For what others have laid down so, as TURN's credentials */
int secret_hmac_sha1(uint8_t out[static SHA1_SIZE], const void *key,
		     size_t key_len, const void *p, size_t n)
{
	return hmac(EVP_sha1(), out, key, key_len, p, n);
}

/* Made once: to find the algorithm and to set up its state takes ten times as
   long as the hash itself. */
static EVP_MAC_CTX *siphash_new(void)
{
	size_t size = sizeof(uint64_t);
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac);
	if (!ctx || !EVP_MAC_CTX_set_params(ctx, params))
		abort(); /* as without memory at the start */
	return ctx;
}

/**
 * Hash for a table: SipHash under a key that only this process has.  Who could
 * reckon hashes could find a key that falls together with another's.
 *
 * Not for several threads.
 *
 * @param salt Another one gives another hash of the same bytes
 */
uint64_t table_hash(uint8_t salt, const void *p, size_t n)
{
	static uint8_t secret[TABLE_KEY_LEN];
	static EVP_MAC_CTX *ctx;
	uint8_t key[TABLE_KEY_LEN], hash[sizeof(uint64_t)];
	uint64_t value;
	size_t len;

	if (!ctx) {
		if (random_bytes(secret, sizeof(secret)))
			abort(); /* without random bytes nothing here is safe */
		ctx = siphash_new();
	}
	memcpy(key, secret, sizeof(key));
	key[0] ^= salt;
	if (!EVP_MAC_init(ctx, key, sizeof(key), NULL) ||
	    !EVP_MAC_update(ctx, p, n) ||
	    !EVP_MAC_final(ctx, hash, &len, sizeof(hash)))
		abort();
	memcpy(&value, hash, sizeof(value));

	return value;
}

bool secret_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void secret_wipe(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}

/**
 * Base64 with padding (RFC 4648, section 4), as in Basic credentials.
 *
 * @param out   At least n / 4 * 3 bytes
 * @param size  Its size in bytes
 * @param len   Set to the length of the result
 * @return  0, EBADMSG for what is no base64, EOVERFLOW when out is too small
 */
int secret_base64_decode(uint8_t *out, size_t size, size_t *len, const char *p,
			 size_t n)
{
	size_t pad = 0;
	int r;

	if (n == 0 || n % 4 || n > BASE64_MAX)
		return EBADMSG;
	for (size_t i = 0; i < n; i++) {
		const char c = p[i];

		if (c == '=' && i + 2 >= n)
			pad++;
		else if (pad ||
			 !((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			   (c >= '0' && c <= '9') || c == '+' || c == '/'))
			return EBADMSG;
	}
	if (size < n / 4 * 3)
		return EOVERFLOW;
	r = EVP_DecodeBlock(out, (const unsigned char *)p, (int)n);
	if (r < 0)
		return EBADMSG;
	*len = (size_t)r - pad;

	return 0;
}

/**
 * The same the other way.
 *
 * @param out  BASE64_SIZE(n) bytes
 * @param n    At most 3072
 */
void secret_base64_encode(char *out, const uint8_t *p, size_t n)
{
	(void)EVP_EncodeBlock((unsigned char *)out, p, (int)n); /* its length */
}
