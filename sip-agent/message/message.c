/*
 * MESSAGE in: authenticated, written to the database as a send, and answered
 * when its outcome is known: 200 once somebody has it, 202 once it is stored
 * or after 10 s at the latest (RFC 3428 section 7).
 */
#include "message/message.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/auth.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/secret.h"
#include "parse/hdr.h"
#include "pg/pgloop.h"
#include "settings.h"
#include "transaction/body.h"
#include "transaction/codes.h"
#include "transaction/uas.h"

enum {
	POLL_MS = 200,
	POLL_MAX = 500, /* sends asked about at once */
	ORIGIN_SIZE = 2 * SHA256_SIZE + 1,
	NUMBER_SIZE = 24,
};

/** All MESSAGEs whose outcome is awaited */
struct inbound {
	struct agent *ag;
	struct list waiting; /* struct incoming */
	struct tmr tmr;
	bool asking;
};

struct incoming {
	struct le le;
	struct inbound *in;
	struct uas *u;
	char aor[AOR_BUF]; /* from whom */
	int64_t send;
	int code;	   /* of the last delivery that we settled ourselves */
	uint64_t until_ms; /* counted from when it came */
};

static const struct pg_stmt stmt_message = {
	.name = "sip_message",
	.sql = "select * from api.sip_message($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nparams = 9,
	.write = true,
};
static const struct pg_stmt stmt_outcome = {
	.name = "send_outcome",
	.sql = "select * from api.send_outcome($1::bigint[])",
	.nparams = 1,
};

static void poll_outcomes(void *arg);

static void inbound_destructor(void *arg)
{
	struct inbound *in = arg;

	tmr_cancel(&in->tmr);
	list_flush(&in->waiting);
}

/** Allocate the list of those that wait; owned by the caller */
int inbound_alloc(struct inbound **ip, struct agent *ag)
{
	struct inbound *in = mem_zalloc(sizeof(*in), inbound_destructor);

	if (!in)
		return ENOMEM;
	in->ag = ag;
	*ip = in;

	return 0;
}

static void incoming_destructor(void *arg)
{
	struct incoming *m = arg;

	list_unlink(&m->le);
	mem_deref(m->u);
}

/* --- the outcome -------------------------------------------------------- */

/* What a send's status is in SIP, 0: still under way */
static uint16_t code_of_status(const char *status, int last_code)
{
	static const struct {
		const char *status;
		uint16_t scode;
	} codes[] = {
		{"delivered", 200},
		{"accepted", 202},
		{"stored", 202},
		{"cancelled", 480},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		if (!strcmp(status, codes[i].status))
			return codes[i].scode;
	}
	if (strcmp(status, "failed"))
		return 0;

	/* a challenge or redirection of the phone's is not for the sender */
	return last_code >= 402 && last_code < 700 && last_code != 407
		       ? (uint16_t)last_code
		       : 480;
}

/* @return whether it is answered */
static bool answer(struct incoming *m, const char *status)
{
	const uint16_t scode = code_of_status(status, m->code);

	if (!scode)
		return false;
	uas_refuse(m->u, scode);

	return true;
}

static struct incoming *find(const struct inbound *in, int64_t send)
{
	struct le *le;

	LIST_FOREACH(&in->waiting, le)
	{
		struct incoming *m = le->data;

		if (m->send == send)
			return m;
	}

	return NULL;
}

static void on_outcomes(const struct pg_answer *ans, void *arg)
{
	struct inbound *in = arg;

	in->asking = false;
	for (int i = 0; ans->end == PG_OK && i < pg_rows(ans); i++) {
		struct incoming *m;
		const char *status = pgres_text(ans->res, i, "status");

		m = find(in, pgres_int(ans->res, i, "send"));
		if (m && status && answer(m, status))
			mem_deref(m);
	}
	mem_deref(in);
}

static int write_sends(struct mbuf *mb, const struct inbound *in)
{
	struct le *le;
	unsigned n = 0;
	int err = 0;

	LIST_FOREACH(&in->waiting, le)
	{
		const struct incoming *m = le->data;

		if (n >= POLL_MAX)
			break;
		err |= mbuf_printf(mb, "%c%lld", n++ ? ',' : '{', m->send);
	}

	return err | mbuf_write_str(mb, "}");
}

static void ask_outcomes(struct inbound *in)
{
	struct mbuf *mb = mbuf_alloc(256);

	if (mb && !write_sends(mb, in)) {
		const struct pl pl = {(const char *)mb->buf, mb->end};
		const struct pg_val valv[] = {pg_pl(&pl)};

		if (!pgloop_query(in->ag->pl, &stmt_outcome, valv, on_outcomes,
				  in)) {
			in->asking = true;
			mem_ref(in);
		}
	}
	mem_deref(mb);
}

/* Some have waited long enough: they are stored in any case */
static void end_waits(struct inbound *in)
{
	const uint64_t now = tmr_jiffies();
	struct le *le = list_head(&in->waiting);

	while (le) {
		struct incoming *m = le->data;

		le = le->next;
		if (m->until_ms > now)
			continue;
		uas_refuse(m->u, 202);
		mem_deref(m);
	}
}

static void poll_outcomes(void *arg)
{
	struct inbound *in = arg;

	end_waits(in);
	if (list_isempty(&in->waiting))
		return;

	tmr_start(&in->tmr, POLL_MS, poll_outcomes, in);
	if (!in->asking)
		ask_outcomes(in);
}

/**
 * This agent has settled a delivery: a MESSAGE may be waiting for that
 *
 * @param send Whose delivery it was
 * @param code How it ended
 */
void inbound_settled(struct inbound *in, int64_t send, int code)
{
	struct incoming *m = find(in, send);

	if (!m)
		return;
	m->code = code;
	if (!in->asking)
		tmr_start(&in->tmr, 0, poll_outcomes, in);
}

/** Answer all that wait: what they brought is stored (202) */
void inbound_release(struct inbound *in)
{
	struct incoming *m;

	while ((m = list_ledata(list_head(&in->waiting)))) {
		uas_refuse(m->u, 202);
		mem_deref(m);
	}
}

static void on_message(const struct pg_answer *ans, void *arg)
{
	struct incoming *m = arg;
	struct inbound *in = m->in;
	const char *status = pgres_text(ans->res, 0, "status");

	if (ans->end != PG_OK || !status) {
		auth_db_failed(m->u, m->aor, ans);
		mem_deref(m);
		return;
	}

	if (answer(m, status)) {
		mem_deref(m);
		return;
	}

	m->send = pgres_int(ans->res, 0, "send");
	list_append(&in->waiting, &m->le, m);
	if (!tmr_isrunning(&in->tmr))
		tmr_start(&in->tmr, POLL_MS, poll_outcomes, in);
}

/* --- the request -------------------------------------------------------- */

/* From, its tag, Call-ID, CSeq and for whom, in one text of fixed length, by
   which a retransmission to a restarted agent is recognised */
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

static int ask(struct incoming *m, const struct auth_id *id, const char *to,
	       const char *type, const struct pl *body)
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
		pg_bool(!pl_strcasecmp(&uas_msg(m->u)->uri.scheme, "sips")),
	};

	return pgloop_query(ag->pl, &stmt_message, valv, on_message, m);
}

static void send_on(struct uas *u, const struct auth_id *id, const char *to,
		    const char *type, const struct pl *body)
{
	struct incoming *m = mem_zalloc(sizeof(*m), incoming_destructor);
	int err;

	if (!m) {
		uas_refuse(u, 503);
		return;
	}

	m->in = uas_agent(u)->inbound;
	m->u = mem_ref(u);
	m->until_ms = tmr_jiffies() + MESSAGE_WAIT_MS;
	str_ncpy(m->aor, id->aor, sizeof(m->aor));
	err = ask(m, id, to, type, body);
	if (err) {
		uas_fail(u, err);
		mem_deref(m);
	}
}

static void on_authentic(struct uas *u, const struct auth_id *id)
{
	const struct sip_msg *msg = uas_msg(u);
	char to[AOR_BUF];
	struct body body;
	char *type = NULL;
	int err;

	if (uri_to_aor(to, &msg->ruri)) {
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
	/* nothing is relayed to foreign domains */
	if (!settings_hosts(ag->set, &msg->uri.host)) {
		uas_reply_stateless(ag, msg, 404, "Not Our Domain", NULL);
		return;
	}

	auth_request(ag, msg, on_authentic);
}
