/*
 * libre gives a connection up when a message of more than 64 KiB, headers
 * included, comes in pieces.  So pieces are put together here, and libre sees
 * whole messages only.
 */
#include "parse/framing.h"

#include <errno.h>
#include <string.h>

#include "parse/hdr.h"

/* Whether a line is Content-Length's, and its value */
static bool is_length(struct pl *val, const struct pl *line)
{
	const char *colon = pl_strchr(line, ':');
	struct pl name;

	if (!colon)
		return false;

	name = (struct pl){line->p, (size_t)(colon - line->p)};
	while (name.l && strchr(" \t", name.p[name.l - 1]))
		name.l--;
	*val = (struct pl){colon + 1, (size_t)(line->p + line->l - colon - 1)};
	while (val->l && strchr(" \t", *val->p))
		pl_advance(val, 1);

	return !pl_strcasecmp(&name, "Content-Length") ||
	       !pl_strcasecmp(&name, "l");
}

/* Content-Length of a head: there must be one, and one only */
static int body_len(size_t *len, const char *head, size_t head_len)
{
	const char *p = head, *end = head + head_len, *eol;
	uint64_t n = 0;
	bool found = false;
	int err = 0;

	while (!err && (eol = memmem(p, (size_t)(end - p), "\r\n", 2))) {
		const struct pl line = {p, (size_t)(eol - p)};
		struct pl val;

		if (is_length(&val, &line)) {
			err = found ? EPROTO
				    : hdr_number(&n, &val, FRAMING_BODY_MAX);
			found = true;
		}
		p = eol + 2;
	}
	*len = (size_t)n;

	return !err && !found ? EPROTO : err;
}

/* Bytes of the message at p, 0 while it is not whole */
static int message_len(size_t *len, const char *p, size_t left)
{
	const char *end = memmem(p, left, "\r\n\r\n", 4);
	size_t head, body;
	int err;

	*len = 0;
	if (!end)
		return left > FRAMING_HEAD_MAX ? EMSGSIZE : 0;

	head = (size_t)(end - p) + 4;
	if (head > FRAMING_HEAD_MAX)
		return EMSGSIZE; /* as where its end came later */
	err = body_len(&body, p, head);
	if (!err && left >= head + body)
		*len = head + body;

	return err;
}

/**
 * Bytes of what comes next: one whole message, or the empty lines before it
 *
 * @param len Set to them, 0 while it is not whole
 *
 * @return 0, or why it can never be
 */
int framing_next(size_t *len, const char *p, size_t left)
{
	size_t n = 0;

	while (left - n >= 2 && !memcmp(p + n, "\r\n", 2))
		n += 2;
	*len = n;

	return n ? 0 : message_len(len, p, left);
}

/* Bytes of all whole messages at p, and of the empty lines around them */
static int whole_len(size_t *len, const char *p, size_t left)
{
	size_t n = 0, one;
	int err;

	do {
		err = framing_next(&one, p + n, left - n);
		n += err ? 0 : one;
	} while (!err && one);
	*len = n;

	return err;
}

/**
 * Add what came to what was there, and take all whole messages
 *
 * @param acc   What is not whole yet
 * @param in    What came; set to the whole messages
 * @param whole Set to whether there are any
 *
 * @return 0; EMSGSIZE, EOVERFLOW or EPROTO where a message is too large or has
 *         no length: it is what acc begins with then; ENOMEM
 */
int framing_take(struct mbuf *acc, struct mbuf *in, bool *whole)
{
	size_t len;
	int err;

	*whole = false;
	mbuf_skip_to_end(acc);
	err = mbuf_write_mem(acc, mbuf_buf(in), mbuf_get_left(in));
	if (err)
		return err;

	err = whole_len(&len, (const char *)acc->buf, acc->end);
	if (!len)
		return err;

	mbuf_rewind(in);
	if (mbuf_write_mem(in, acc->buf, len))
		return ENOMEM;
	mbuf_set_pos(in, 0);

	memmove(acc->buf, acc->buf + len, acc->end - len);
	mbuf_set_pos(acc, 0);
	mbuf_set_end(acc, acc->end - len);
	if (!acc->end)
		mbuf_reset(acc); /* an idle connection keeps nothing */
	*whole = true;

	return err;
}
