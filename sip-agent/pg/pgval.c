/*
 * Parameters are copied, and text is looked at before it is asked about.
 */
#include "pg/pgval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

struct pg_val pg_text(const char *s)
{
	return (struct pg_val){.p = s, .len = s ? strlen(s) : 0};
}

/** Text; what is not set (no pointer) is SQL null, what is empty is '' */
struct pg_val pg_pl(const struct pl *pl)
{
	return (struct pg_val){.p = pl->p, .len = pl->l};
}

/** A bytea, sent as it is */
struct pg_val pg_bytes(const struct pl *pl)
{
	return (struct pg_val){.p = pl->p, .len = pl->l, .bytes = true};
}

struct pg_val pg_int(int64_t n)
{
	struct pg_val v = {.p = NULL};

	(void)re_snprintf(v.num, sizeof(v.num), "%lld", (long long)n);

	return v;
}

struct pg_val pg_bool(bool b)
{
	return pg_text(b ? "t" : "f");
}

struct pg_val pg_null(void)
{
	return (struct pg_val){.p = NULL};
}

/** Whether PostgreSQL takes this as text: UTF-8 without NUL */
bool pg_is_text(const char *p, size_t len)
{
	return !memchr(p, '\0', len) && utf8_valid(p, len) == len;
}

/* @return what follows the copy, NULL where it is not text */
static char *copy(char *to, struct pg_args *args, const struct pg_val *v)
{
	const char *src = v->num[0] ? v->num : v->p;
	const size_t len = v->num[0] ? strlen(v->num) : v->len;

	if (!src) {
		pg_arg_null(args);
		return to;
	}
	if (!v->bytes && !pg_is_text(src, len))
		return NULL;
	memcpy(to, src, len);
	to[len] = '\0';
	if (v->bytes)
		pg_arg_bytea(args, to, len);
	else
		pg_arg_text(args, to);

	return to + len + 1;
}

/**
 * Copy values
 *
 * @param datap Set to where args points into, owned by the caller: free()
 * @param args  Empty; filled in
 *
 * @return 0, EILSEQ where a text is not UTF-8, E2BIG, ENOMEM
 */
int pg_vals_copy(char **datap, struct pg_args *args, const struct pg_val *valv,
		 int n)
{
	size_t size = 1;
	char *data, *p;

	for (int i = 0; i < n; i++)
		size += valv[i].len + sizeof(valv[i].num) + 1;
	p = data = malloc(size);
	for (int i = 0; p && i < n; i++)
		p = copy(p, args, &valv[i]);
	if (!p || args->failed) {
		free(data);
		return !data ? ENOMEM : !p ? EILSEQ : E2BIG;
	}
	*datap = data;

	return 0;
}
