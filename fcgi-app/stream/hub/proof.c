/*
 * proof.c: a caller's credentials, kept for as long as he watches.
 */
#include "stream/hub/proof.h"

#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

struct proof {
	unsigned refs;
	uint32_t who_size; /* with the NUL; 0: a token */
	uint32_t proof_len;
	char bytes[]; /* who, then the proof */
};

struct proof *proof_new(const struct principal *who)
{
	size_t size = who->who ? strlen(who->who) + 1 : 0;
	struct proof *p = malloc(sizeof(*p) + size + who->proof_len);

	if (!p)
		return NULL;
	p->refs = 1;
	p->who_size = (uint32_t)size;
	p->proof_len = (uint32_t)who->proof_len;
	if (size)
		memcpy(p->bytes, who->who, size);
	if (who->proof_len)
		memcpy(p->bytes + size, who->proof, who->proof_len);
	return p;
}

struct proof *proof_ref(struct proof *p)
{
	if (p)
		p->refs++;
	return p;
}

void proof_free(struct proof *p)
{
	if (!p || --p->refs)
		return;
	secret_wipe(p->bytes, p->who_size + p->proof_len);
	free(p);
}

void proof_args(struct pg_args *args, const struct proof *p)
{
	pg_arg_text(args, p && p->who_size ? p->bytes : NULL);
	if (p)
		pg_arg_bytea(args, p->bytes + p->who_size, p->proof_len);
	else
		pg_arg_null(args);
}
