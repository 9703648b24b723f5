/*
 * MESSAGE in: authenticated, written to the database as a send, and answered
 * when its outcome is known: 200 once somebody has it, 202 once it is stored
 * or after 4 s at the latest (RFC 3428 section 7).  A receipt is no message:
 * it moves the one that it names (RFC 5438).  Nor is that somebody is writing:
 * who is there is told (RFC 3994).
 */
#include "message/message.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/auth.h"
#include "common/notice/composing.h"
#include "common/hex.h"
#include "common/notice/imdn.h"
#include "common/secret.h"
#include "message/inbound.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "pg/pgloop.h"
#include "settings/ours.h"
#include "transaction/body.h"
#include "transaction/codes.h"
#include "transaction/uas.h"

enum {
	ORIGIN_SIZE = 2 * SHA256_SIZE + 1,
};

struct incoming {
	struct uas *u;
	char aor[AOR_BUF]; /* from whom */
	uint64_t until_ms; /* counted from when it came */
};

static const struct pg_stmt stmt_message = {
	.name = "sip_message",
	.sql = "select * from api.sip_message($1, $2, $3, $4, $5, $6, $7, $8, $9, "
	       "$10)",
	.nparams = 10,
	.write = true,
};
static const struct pg_stmt stmt_receipt = {
	.name = "sip_receipt",
	.sql = "select * from api.sip_receipt($1, $2, $3, $4, $5, $6)",
	.nparams = 6,
	.write = true,
};

static const struct pg_stmt stmt_composing = {
	.name = "sip_composing",
	.sql = "select * from api.sip_composing($1, $2, $3, $4, $5, $6)",
	.nparams = 6,
	.write = true,
};

static void incoming_destructor(void *arg)
{
	struct incoming *m = arg;

	mem_deref(m->u);
}

static void on_message(const struct pg_answer *ans, void *arg)
{
	struct incoming *m = arg;
	struct inbound *in = uas_agent(m->u)->inbound;
	const char *status = pgres_text(ans->res, 0, "status");

	if (ans->end != PG_OK || !status)
		auth_db_failed(m->u, m->aor, ans);
	else if (!inbound_answer(m->u, status, 0) &&
		 inbound_wait(in, m->u, pgres_int(ans->res, 0, "send"),
			      m->until_ms))
		uas_refuse(m->u, 202); /* it is stored in any case */
	mem_deref(m);
}

/* Of what is no message */
static void on_noted(const struct pg_answer *ans, void *arg)
{
	struct incoming *m = arg;

	if (ans->end == PG_OK)
		uas_refuse(m->u, 200);
	else
		auth_db_failed(m->u, m->aor, ans);
	mem_deref(m);
}

/* Writes a text of fixed length made of From, its tag, Call-ID, CSeq and the
   recipient, by which a restarted agent recognises a retransmission */
static int write_origin(char hex[static ORIGIN_SIZE], const struct sip_msg *msg,
			const char *from, const char *to)
{
	uint8_t md[SHA256_SIZE];
	struct mbuf *mb = mbuf_alloc(256);
	int err;

	if (!mb)
		return ENOMEM;

	err = mbuf_printf(mb, "%s%c%r%c%r%c%u%c%s", from, 0, &msg->from.tag, 0,
			  &msg->callid, 0, msg->cseq.num, 0, to);
	if (!err)
		err = sha256(md, mb->buf, mb->end);
	if (!err)
		hex_encode(hex, md, sizeof(md));
	mem_deref(mb);

	return err;
}

/* @return false where it was refused */
static bool read_type(char **type, struct uas *u, size_t body_len)
{
	const struct sip_msg *msg = uas_msg(u);
	const struct pl *val = hdr_get(msg, HDR_CONTENT_TYPE);
	const struct pl none = PL("text/plain");

	if (!val && !body_len)
		val = &none;
	if (!val || (val != &none && (!pl_isset(&msg->ctyp.type) ||
				      !pl_isset(&msg->ctyp.subtype)))) {
		uas_reply(u, 415, NULL, "Accept: */*\r\n");
		return false;
	}
	if (val->l > MESSAGE_TYPE_MAX || memchr(val->p, '\0', val->l)) {
		uas_reply(u, 400, "Bad Content-Type", NULL);
		return false;
	}
	if (hdr_unfold(type, val)) {
		uas_refuse(u, 503);
		return false;
	}

	return true;
}

static bool is_secure(const struct incoming *m)
{
	return !pl_strcasecmp(&uas_msg(m->u)->uri.scheme, "sips");
}

static int ask_composing(struct incoming *m, const struct auth_id *id,
			 const char *to, const struct composing *c)
{
	const struct agent *ag = uas_agent(m->u);
	char says[COMPOSING_TEXT_MAX];
	const int n = re_snprintf(says, sizeof(says), "%s %d",
				  c->active ? "active" : "idle", c->refresh_s);
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(id->credential),
		pg_text(id->ha1),
		pg_text(to),
		pg_text(says),
		pg_bool(is_secure(m)),
	};

	return n < 0 ? ENOMEM
		     : pgloop_query_alone(ag->pl, id->aor, &stmt_composing,
					  valv, on_noted, m);
}

static int ask_receipt(struct incoming *m, const struct auth_id *id,
		       const char *to, const struct imdn *imdn)
{
	const struct agent *ag = uas_agent(m->u);
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(id->credential),
		pg_text(id->ha1),
		pg_text(to),
		pg_text(imdn->message_id),
		imdn->status ? pg_text(imdn->status) : pg_null(),
	};

	return pgloop_query_alone(ag->pl, id->aor, &stmt_receipt, valv,
				  on_noted, m);
}

static int ask(struct incoming *m, const struct auth_id *id, const char *to,
	       const char *type, const struct pl *body, const char *message_id)
{
	const struct agent *ag = uas_agent(m->u);
	char origin[ORIGIN_SIZE];
	int err;

	err = write_origin(origin, uas_msg(m->u), id->aor, to);
	if (err)
		return err;

	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(id->credential),
		pg_text(id->ha1),
		pg_text(to),
		pg_text(type),
		pg_bytes(body),
		pg_text(origin),
		pg_text(uas_id(m->u)),
		pg_bool(is_secure(m)),
		pg_text(message_id),
	};

	return pgloop_query_alone(ag->pl, to, &stmt_message, valv, on_message,
				  m);
}

/* What a MESSAGE is: a message as a rule */
struct sort {
	bool is_composing;
	struct composing composing;
	struct imdn imdn;
};

/* @return 0, EBADMSG, ENOMEM */
static int sort_read(struct sort *sort, const char *type, const struct pl *body)
{
	const size_t type_len = strlen(type);
	const char *p = body->p ? body->p : "", *why;
	int err;

	err = composing_read(&sort->composing, type, type_len, p, body->l,
			     &why);
	sort->is_composing = !err;
	if (err != ENOENT)
		return err;

	return imdn_read(&sort->imdn, type, type_len, p, body->l, &why);
}

static void send_on(struct uas *u, const struct auth_id *id, const char *to,
		    const char *type, const struct pl *body)
{
	struct incoming *m;
	struct sort sort;
	int err;

	err = sort_read(&sort, type, body);
	if (err == EBADMSG) {
		uas_reply(u, 400, "Bad Body", NULL);
		return;
	}
	m = err ? NULL : mem_zalloc(sizeof(*m), incoming_destructor);
	if (!m) {
		uas_refuse(u, 503);
		return;
	}

	m->u = mem_ref(u);
	m->until_ms = tmr_jiffies() + MESSAGE_WAIT_MS;
	str_ncpy(m->aor, id->aor, sizeof(m->aor));
	if (sort.is_composing)
		err = ask_composing(m, id, to, &sort.composing);
	else if (sort.imdn.is_receipt)
		err = ask_receipt(m, id, to, &sort.imdn);
	else
		err = ask(m, id, to, type, body, sort.imdn.message_id);
	if (err) {
		uas_fail(u, err);
		mem_deref(m);
	}
}

/* Within a dialog the Request-URI is our Contact, and To is whom it is with */
static int read_to(char to[static AOR_BUF], struct uas *u)
{
	const struct settings *set = uas_agent(u)->set;
	const struct sip_msg *msg = uas_msg(u);
	struct nameaddr na;

	if (!pl_isset(&msg->to.tag))
		return settings_to_aor(set, to, &msg->ruri);
	if (nameaddr_decode(&na, hdr_get(msg, HDR_TO)))
		return EBADMSG;

	return settings_to_aor(set, to, &na.uri);
}

static void on_authentic(struct uas *u, const struct auth_id *id)
{
	const struct sip_msg *msg = uas_msg(u);
	char to[AOR_BUF];
	struct body body;
	char *type = NULL;
	int err;

	if (read_to(to, u)) {
		uas_refuse(u, 404);
		return;
	}
	err = body_open(&body, msg);
	if (err)
		body_refuse(u, err);
	else if (read_type(&type, u, body.data.l))
		send_on(u, id, to, type, &body.data);
	mem_deref(type);
	body_close(&body);
}

/**
 * Serve a MESSAGE
 *
 * @param msg A request that dispatch has let through
 */
void message_handle(struct agent *ag, const struct sip_msg *msg)
{
	auth_request(ag, msg, on_authentic);
}
