/*
 * libre gives a connection up when a message of more than 64 KiB, headers
 * included, comes in pieces.  So pieces are put together here, and libre sees
 * whole messages only.
 */
#include "parse/framing.h"

#include <errno.h>
#include <string.h>

#include "parse/hdr.h"
#include "parse/line.h"

static bool is_length(const struct pl *name)
{
	return !pl_strcasecmp(name, "Content-Length") ||
	       !pl_strcasecmp(name, "l");
}

/* Content-Length of a head.  There must be one; where it is there twice, both
   must agree: then the message ends somewhere, and can be refused */
static int body_len(size_t *len, const char *head, size_t head_len)
{
	struct pl in = {head, head_len}, line, name, val;
	uint64_t n = 0, other;
	bool found = false;
	int err = 0;

	while (!err && !line_take(&line, &in) && line.l) {
		if (line_split(&name, &val, &line) || !is_length(&name))
			continue;
		err = hdr_number(&other, &val, FRAMING_BODY_MAX);
		if (!err && found && other != n)
			err = EPROTO;
		n = other;
		found = true;
	}
	*len = err ? 0 : (size_t)n;

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
	const size_t n = line_empty(p, left);

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
