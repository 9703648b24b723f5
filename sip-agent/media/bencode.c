/*
 * What comes is looked at where it lies, and wholly: nothing is kept of it, and
 * nothing of it decides how deep we go.
 */
#include "media/bencode.h"

#include <errno.h>
#include <string.h>

enum {
	DEPTH_MAX = 32,
	DIGITS_MAX = 9, /* of a length */
};

void bencode_mem(struct buf *b, const char *p, size_t len)
{
	buf_fmt(b, "%zu:", len);
	buf_add(b, p, len);
}

void bencode_str(struct buf *b, const char *s)
{
	bencode_mem(b, s, strlen(s));
}

/** One of a dictionary, which the caller begins and ends */
void bencode_member(struct buf *b, const char *key, const char *value)
{
	bencode_str(b, key);
	bencode_str(b, value);
}

/** A list of words, with blanks between */
void bencode_words(struct buf *b, const char *key, const char *words)
{
	bencode_str(b, key);
	buf_char(b, 'l');
	while (*words) {
		const size_t len = strcspn(words, " ");

		bencode_mem(b, words, len);
		words += len;
		words += strspn(words, " ");
	}
	buf_char(b, 'e');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One string, and past it */
static int take_string(struct pl *s, struct pl *rest)
{
	size_t len = 0, n = 0;

	while (n < rest->l && n < DIGITS_MAX && is_digit(rest->p[n]))
		len = 10 * len + (size_t)(rest->p[n++] - '0');
	if (!n || n >= rest->l || rest->p[n] != ':' || len > rest->l - n - 1)
		return EBADMSG;
	*s = (struct pl){rest->p + n + 1, len};
	pl_advance(rest, (ssize_t)(n + 1 + len));

	return 0;
}

static int skip_integer(struct pl *rest)
{
	size_t n = 1;

	if (n < rest->l && rest->p[n] == '-')
		n++;
	if (n >= rest->l || !is_digit(rest->p[n]))
		return EBADMSG;
	while (n < rest->l && is_digit(rest->p[n]))
		n++;
	if (n >= rest->l || rest->p[n] != 'e')
		return EBADMSG;
	pl_advance(rest, (ssize_t)(n + 1));

	return 0;
}

/* Where in the lists and dictionaries we are */
struct place {
	bool dict[DEPTH_MAX];
	size_t depth;
	bool key; /* the next is one, or the dictionary's end */
};

static int enter(struct place *at, struct pl *rest, bool dict)
{
	if (at->depth >= DEPTH_MAX)
		return EBADMSG;
	at->dict[at->depth++] = dict;
	at->key = dict;
	pl_advance(rest, 1);

	return 0;
}

/* A value is over: what follows in what is around it */
static void after_value(struct place *at)
{
	at->key = at->depth && at->dict[at->depth - 1];
}

static int leave(struct place *at, struct pl *rest)
{
	if (!at->depth || (at->dict[at->depth - 1] && !at->key))
		return EBADMSG;
	at->depth--;
	after_value(at);
	pl_advance(rest, 1);

	return 0;
}

static int skip_one(struct place *at, struct pl *rest)
{
	struct pl s;
	int err;

	if (!rest->l)
		return EBADMSG;
	if (*rest->p == 'e')
		return leave(at, rest);
	if (at->key) {
		err = take_string(&s, rest);
		at->key = false;
		return err;
	}
	if (*rest->p == 'd' || *rest->p == 'l')
		return enter(at, rest, *rest->p == 'd');
	err = *rest->p == 'i' ? skip_integer(rest) : take_string(&s, rest);
	after_value(at);

	return err;
}

/* Whatever it is, and past it */
static int skip(struct pl *rest)
{
	struct place at = {.depth = 0};
	int err;

	do
		err = skip_one(&at, rest);
	while (!err && at.depth);

	return err;
}

/**
 * Find a string of a dictionary
 *
 * @param value Set to it, borrowed from dict
 * @param dict  All of it, and nothing else
 *
 * @return 0, ENOENT where it has none, EBADMSG where it is no dictionary, from
 *         its first byte to its last
 */
int bencode_find(struct pl *value, const struct pl *dict, const char *key)
{
	struct pl rest = *dict, name, found = PL_INIT;
	bool is_there = false;
	int err;

	if (!rest.l || *rest.p != 'd')
		return EBADMSG;
	pl_advance(&rest, 1);
	while (rest.l && *rest.p != 'e') {
		bool is_it;

		err = take_string(&name, &rest);
		if (err)
			return err;
		is_it = !is_there && !pl_strcmp(&name, key) && rest.l &&
			is_digit(*rest.p);
		err = is_it ? take_string(&found, &rest) : skip(&rest);
		if (err)
			return err;
		is_there |= is_it;
	}
	if (rest.l != 1)
		return EBADMSG;
	if (!is_there)
		return ENOENT;
	*value = found;

	return 0;
}
