/*
 * Writes the MESSAGE of a delivery (RFC 3428 section 4).  What identifies it
 * comes from the delivery alone, so that a repeat, by whichever agent, is the
 * same request again.  Nothing from the database gets into a header that could
 * end its line.
 */
#include "message/message_encode.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/secret.h"
#include "parse/uri.h"

enum {
	TAG_LEN = 8,
	DATE_SIZE = 40,
};

/* The tag is made of the delivery's number and of parts of it that never
   change, so that two databases do not make the same ones */
static int identify(uint8_t *md, const struct message_parts *w)
{
	uint8_t full[SHA256_SIZE];
	struct mbuf *mb = mbuf_alloc(256);
	int err;

	if (!mb)
		return ENOMEM;

	err = mbuf_printf(mb, "restsip-delivery|%lld|%s|%s|%s", w->delivery,
			  w->sent_at, w->sender, w->recipient);
	if (!err)
		err = sha256(full, mb->buf, mb->end);
	if (!err)
		memcpy(md, full, TAG_LEN);
	mem_deref(mb);

	return err;
}

/* RFC 3339 to RFC 1123 (RFC 3261 section 20.17) */
static int write_date(struct mbuf *mb, const char *sent_at)
{
	char text[DATE_SIZE];
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	if (!strptime(sent_at, "%Y-%m-%dT%H:%M:%S", &tm))
		return EBADMSG;
	(void)timegm(&tm); /* finds the day of the week */
	if (!strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm))
		return EBADMSG;

	return mbuf_printf(mb, "Date: %s\r\n", text);
}

static bool is_line(const char *s)
{
	struct pl pl;

	pl_set_str(&pl, s);

	return uri_is_line(&pl);
}

static int write_headers(struct mbuf *mb, const struct message_parts *w)
{
	uint8_t tag[TAG_LEN];
	int err;

	err = identify(tag, w);
	if (err)
		return err;

	err = mbuf_write_str(mb, "Max-Forwards: 70\r\n");
	if (w->path)
		err |= mbuf_printf(mb, "Route: %s\r\n", w->path);
	err |= mbuf_printf(mb,
			   "To: <sip:%s>\r\n"
			   "From: <sip:%s>;tag=%w\r\n"
			   "Call-ID: %s\r\n"
			   "CSeq: 1 MESSAGE\r\n",
			   w->recipient, w->sender, tag, sizeof(tag),
			   w->call_id);
	err |= write_date(mb, w->sent_at);
	if (w->request_id)
		err |= mbuf_printf(mb, "X-Request-ID: %s\r\n", w->request_id);
	err |= mbuf_printf(mb,
			   "User-Agent: restsip\r\n"
			   "Content-Type: %s\r\n"
			   "Content-Length: %zu\r\n\r\n",
			   w->content_type, w->body_len);

	return err;
}

/**
 * Write headers and body; libre puts the request line and Via before them
 *
 * @param mbp Set to the buffer, owned by the caller
 *
 * @return 0, EINVAL where something would break a header, or another errno
 */
int message_encode(struct mbuf **mbp, const struct message_parts *w)
{
	struct mbuf *mb;
	int err;

	if (!is_line(w->call_id) || !is_line(w->content_type) ||
	    !is_line(w->sender) || !is_line(w->recipient) ||
	    (w->path && !is_line(w->path)) ||
	    (w->request_id && !is_line(w->request_id)))
		return EINVAL;

	mb = mbuf_alloc(512 + w->body_len);
	if (!mb)
		return ENOMEM;

	err = write_headers(mb, w);
	if (!err && w->body_len)
		err = mbuf_write_mem(mb, w->body, w->body_len);
	mbuf_set_pos(mb, 0);

	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}
