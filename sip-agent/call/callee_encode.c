#include "call/callee_encode.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/session/session.h"
#include "common/pgres.h"
#include "media/bridge.h"
#include "parse/uri.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"
#include "transaction/uas.h"

enum {
	NAME_MAX_LEN = 128, /* bytes of a display name */
};

/* A display name as a quoted string (section 25.1), or nothing */
static int write_name(struct mbuf *mb, const char *name)
{
	struct pl pl;
	int err;

	pl_set_str(&pl, name ? name : "");
	if (!pl.l || pl.l > NAME_MAX_LEN || !pg_is_text(pl.p, pl.l))
		return 0;
	err = mbuf_write_u8(mb, '"');
	for (size_t i = 0; i < pl.l; i++) {
		const uint8_t c = (uint8_t)pl.p[i];

		if (c == '"' || c == '\\')
			err |= mbuf_write_u8(mb, '\\');
		err |= mbuf_write_u8(mb, c < 0x20 || c == 0x7f ? ' ' : c);
	}

	return err | mbuf_write_str(mb, "\" ");
}

static int encode(struct leg *l, const struct pg_answer *ans, int row)
{
	const char *sdp = pgres_text(ans->res, row, "sdp");
	const size_t len = sdp ? strlen(sdp) : 0;
	const struct pl offer = {sdp, len};
	struct mbuf *mb = mbuf_alloc(1024 + len);
	char timer[SESSION_HDRS_SIZE];
	int err;

	if (!mb)
		return ENOMEM;
	l->req.out.mb = mb;
	l->req.out.body_len = len;
	l->offerless = !len;
	l->invite_cseq = LEG_INVITE_CSEQ;
	session_said(l, sdp, len);
	if (len && (l->legs->ag->ng || bridge_is_web(&offer)))
		buf_add(&l->session.offer, sdp, len);
	err = mbuf_printf(mb, "Max-Forwards: %lld\r\n",
			  pgres_int(ans->res, row, "hops"));
	if (l->req.out.route)
		err |= mbuf_printf(mb, "Route: %s\r\n", l->req.out.route);
	err |= mbuf_printf(mb, "To: <%s>\r\nFrom: ", l->d.remote_uri);
	err |= write_name(mb, pgres_text(ans->res, row, "name"));
	err |= mbuf_printf(
		mb,
		"<%s>;tag=%s\r\n"
		"Call-ID: %s\r\n"
		"CSeq: %lld INVITE\r\n%s"
		"Expires: %lld\r\n" UAS_ALLOW "Supported: %sreplaces, timer\r\n"
		"User-Agent: restsip\r\n",
		l->d.local_uri, l->d.local_tag, l->d.call_id, l->invite_cseq,
		session_offer(timer, l), pgres_int(ans->res, row, "ring_s"),
		len ? "100rel, " : "");
	if (len)
		err |= mbuf_write_str(mb, "Content-Type: application/sdp\r\n");
	err |= mbuf_printf(mb, "Content-Length: %zu\r\n\r\n%s", len,
			   sdp ? sdp : "");
	mbuf_set_pos(mb, 0);

	return err ? ENOMEM : 0;
}

static int copy(char **sp, const struct pg_answer *ans, int row,
		const char *column)
{
	const char *text = pgres_text(ans->res, row, column);
	struct pl pl;

	if (!text || !*text)
		return 0;
	pl_set_str(&pl, text);
	if (!uri_is_line(&pl))
		return EINVAL;

	return str_dup(sp, text);
}

/* What the row of an order says of the leg */
static int take_row(struct leg *l, const struct pg_answer *ans, int row)
{
	const char *contact = pgres_text(ans->res, row, "contact");
	const struct {
		char **to;
		const char *name;
	} columns[] = {
		{&l->d.call_id, "sip_call_id"},
		{&l->d.local_tag, "local_tag"},
		{&l->d.local_uri, "local_uri"},
		{&l->d.remote_uri, "remote_uri"},
		{&l->flow, "flow"},
		{&l->req.route, "path"},
	};
	int err;

	l->call = pgres_int(ans->res, row, "call");
	l->account = pgres_int(ans->res, row, "account");
	l->rest = pgres_bool(ans->res, row, "rest");
	l->secure = pgres_bool(ans->res, row, "secure");
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		err = copy(columns[i].to, ans, row, columns[i].name);
		if (err)
			return err;
	}
	if (!contact || !l->d.call_id || !l->d.local_tag || !l->d.local_uri ||
	    !l->d.remote_uri)
		return EINVAL;
	str_ncpy(l->aor, l->d.remote_uri + strlen("sip:"), sizeof(l->aor));

	return uri_of_contact(&l->contact, contact);
}

/**
 * Read what is called, and write its INVITE
 *
 * @param row Of app.leg_work, of the kind invite
 *
 * @return 0, EINVAL where a value would end its line, or ENOMEM
 */
int callee_encode(struct leg *l, const struct pg_answer *ans, int row)
{
	int err = take_row(l, ans, row);

	if (!err)
		err = str_dup(&l->req.uri, l->contact);
	if (err)
		return err;
	l->req.out = (struct uac_request){
		.method = "INVITE",
		.uri = l->req.uri,
		.route = l->req.route,
		.flow = l->flow,
		.tls = l->secure,
		.contact = true,
		.rest = l->rest,
		.account = l->account,
	};

	return encode(l, ans, row);
}

static const char *find(const struct mbuf *mb, const char *text)
{
	return memmem(mb->buf, mb->end, text, strlen(text));
}

/** The same INVITE once more: what of it changes stands together, see encode */
int callee_encode_again(struct leg *l)
{
	struct mbuf *old = l->req.out.mb, *mb;
	const char *from = find(old, "\r\nCSeq: ");
	const char *to = find(old, "\r\nExpires: ");
	char timer[SESSION_HDRS_SIZE];
	int err;

	if (!from || !to || to < from)
		return EBADMSG;
	mb = mbuf_alloc(old->end + sizeof(timer));
	if (!mb)
		return ENOMEM;
	l->invite_cseq = ++l->d.local_cseq;
	err = mbuf_write_mem(mb, old->buf,
			     (size_t)(from - (const char *)old->buf));
	err |= mbuf_printf(mb, "\r\nCSeq: %lld INVITE\r\n%s", l->invite_cseq,
			   session_offer(timer, l));
	to += strlen("\r\n");
	err |= mbuf_write_mem(mb, (const uint8_t *)to,
			      old->end - (size_t)(to - (const char *)old->buf));
	if (err) {
		mem_deref(mb);
		return ENOMEM;
	}
	mem_deref(old);
	l->req.out.mb = mb;

	return 0;
}

/** Another body, in the place of the one that it was to have */
int callee_encode_body(struct leg *l, const struct pl *sdp)
{
	struct mbuf *mb = l->req.out.mb;
	const char *end = find(mb, "\r\nContent-Length: ");

	if (!end)
		return EBADMSG;
	mb->pos = mb->end = (size_t)(end - (const char *)mb->buf);
	if (mbuf_printf(mb, "\r\nContent-Length: %zu\r\n\r\n%r", sdp->l, sdp))
		return ENOMEM;
	mbuf_set_pos(mb, 0);
	l->req.out.body_len = sdp->l;
	session_said(l, sdp->p, sdp->l);

	return 0;
}
