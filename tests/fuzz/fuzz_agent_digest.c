/*
 * Authorization, and the nonces in it.
 */
#include "fuzz.h"

#include "gate/nonce.h"
#include "parse/digest.h"

static struct nonce_pool *pool;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	HOLDS(!nonce_pool_alloc(&pool, 64));

	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size);
	const struct pl val = {p, size}, method = PL("REGISTER");
	char hex[DIGEST_HEX_SIZE];
	struct digest_auth auth;
	enum digest_alg alg;

	if (!digest_parse(&auth, &val)) {
		HOLDS(strlen(auth.username) < sizeof(auth.username));
		HOLDS(!digest_response(hex, sizeof(hex), &auth, "0", &method));
		(void)digest_equal(hex, &auth.response);
		(void)nonce_check(pool, &auth.nonce, 1, &alg, 1);
		(void)nonce_count(pool, &auth.nonce, auth.nc, 1, 1, 1);
	}
	HOLDS(nonce_check(pool, &val, 1, &alg, 1) != NONCE_GOOD);
	free(p);

	return 0;
}
