/*
 * REGISTER: authenticate, read the contacts, bind them in the database, and
 * answer with all bindings after the commit (RFC 3261 section 10.3; Path by
 * RFC 3327, flows by RFC 5626).
 */
#include "registrar.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent.h"
#include "auth.h"
#include "codes.h"
#include "contact.h"
#include "flow.h"
#include "hdr.h"
#include "log.h"
#include "nameaddr.h"
#include "pgloop.h"
#include "route.h"
#include "settings.h"
#include "uas.h"

enum {
	CALL_ID_MAX = 1024,
	USER_AGENT_MAX = 200,
};

struct reg {
	struct uas *u;
	char *path; /* values joined, NULL where there is none */
	char aor[AOR_BUF];
};

static const struct pg_stmt stmt_register = {
	"sip_register",
	"select * from api.sip_register($1, $2, $3, $4, $5, $6, $7, $8, $9, "
	"$10, $11)",
	11, 0};

static void reg_destructor(void *arg)
{
	struct reg *reg = arg;

	mem_deref(reg->u);
	mem_deref(reg->path);
}

/* --- the answer --------------------------------------------------------- */

static int write_bindings(struct mbuf *mb, const struct pg_answer *ans)
{
	int err = 0;

	for (int i = 0; i < pg_rows(ans) && !err; i++) {
		const char *contact = pgres_text(ans->res, i, "contact");
		const char *q = pgres_text(ans->res, i, "q");

		if (!contact || strpbrk(contact, "\r\n<>\""))
			continue;
		err = mbuf_printf(mb, "Contact: <%s>;expires=%lld", contact,
				  pgres_int(ans->res, i, "expires"));
		if (q)
			err |= mbuf_printf(mb, ";q=%s", q);
		err |= mbuf_write_str(mb, "\r\n");
	}

	return err;
}

/* The path is told only to who understands it (RFC 3327 section 5.3) */
static int write_path(struct mbuf *mb, const struct reg *reg)
{
	if (!reg->path ||
	    !hdr_has_token(uas_msg(reg->u), HDR_SUPPORTED, "path"))
		return 0;

	return mbuf_printf(mb, "Path: %s\r\n", reg->path);
}

static void reply_bindings(struct reg *reg, const struct pg_answer *ans)
{
	struct mbuf *mb = mbuf_alloc(512);
	char *hdrs = NULL;
	time_t now = time(NULL);
	int err;

	if (!mb) {
		uas_refuse(reg->u, 503);
		return;
	}

	err = write_bindings(mb, ans);
	err |= write_path(mb, reg);
	err |= mbuf_printf(mb, "Date: %H\r\n", fmt_gmtime, &now);
	mbuf_set_pos(mb, 0);
	err |= mbuf_strdup(mb, &hdrs, mbuf_get_left(mb));
	if (err)
		uas_refuse(reg->u, 503);
	else
		uas_reply(reg->u, 200, NULL, "%s", hdrs);

	mem_deref(hdrs);
	mem_deref(mb);
}

static void on_registered(const struct pg_answer *ans, void *arg)
{
	struct reg *reg = arg;

	if (ans->end == PG_OK)
		reply_bindings(reg, ans);
	else
		auth_db_failed(reg->u, reg->aor, ans);
	mem_deref(reg);
}

/* --- the request -------------------------------------------------------- */

static struct pg_val user_agent(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_USER_AGENT);

	if (!val || !val->l || val->l > USER_AGENT_MAX ||
	    !pg_is_text(val->p, val->l) || pl_strchr(val, '\n'))
		return pg_null();

	return pg_pl(val);
}

static int ask(struct reg *reg, const struct auth_id *id,
	       const struct contact_set *cs, const char *flow)
{
	const struct sip_msg *msg = uas_msg(reg->u);
	const struct agent *ag = uas_agent(reg->u);
	const struct pl json = {cs->json.p, cs->json.len};
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(id->credential),
		pg_text(id->ha1),
		pg_text(id->aor),
		pg_pl(&msg->callid),
		pg_int(msg->cseq.num),
		pg_pl(&json),
		pg_bool(cs->star),
		pg_text(reg->path),
		flow[0] ? pg_text(flow) : pg_null(),
		user_agent(msg),
	};

	return pgloop_query(ag->pl, &stmt_register, valv, on_registered, reg);
}

/* Refuses what is too short (RFC 3261 section 10.3 item 7) */
static bool is_too_brief(struct uas *u, const struct contact_set *cs)
{
	const uint32_t min_s = settings_min_expires(cs->set);

	if (cs->min_s >= min_s)
		return false;
	uas_reply(u, 423, NULL, "Min-Expires: %u\r\n", min_s);

	return true;
}

/* The flow of a REGISTER that binds something */
static int find_flow(char *flow, struct uas *u, const struct contact_set *cs)
{
	const struct agent *ag = uas_agent(u);

	flow[0] = '\0';
	if (!cs->count)
		return 0;

	return flow_of(flow, FLOW_TEXT_SIZE, ag->flows, ag->sip, uas_msg(u));
}

static void bind_contacts(struct reg *reg, const struct auth_id *id)
{
	char flow[FLOW_TEXT_SIZE];
	struct contact_set cs;
	const char *why = "";
	int err;

	err = contact_set_decode(&cs, uas_msg(reg->u), uas_agent(reg->u)->set,
				 &why);
	if (err == EBADMSG || err == EACCES) {
		uas_reply(reg->u, err == EACCES ? 403 : 400, why, NULL);
		goto out;
	}
	if (!err && is_too_brief(reg->u, &cs))
		goto out;
	if (!err)
		err = find_flow(flow, reg->u, &cs);
	if (!err)
		err = ask(reg, id, &cs, flow);

	if (err)
		uas_db_away(reg->u, err);
	else
		mem_ref(reg); /* on_registered has it */
out:
	contact_set_close(&cs);
}

static void on_authentic(struct uas *u, const struct auth_id *id, void *arg)
{
	const struct sip_msg *msg = uas_msg(u);
	struct reg *reg;
	struct nameaddr to;
	char aor[AOR_BUF];

	(void)arg;
	if (nameaddr_decode(&to, hdr_get(msg, HDR_TO)) ||
	    uri_to_aor(aor, &to.uri)) {
		uas_reply(u, 400, "Bad To", NULL);
		return;
	}
	/* nobody registers for another (RFC 3261 section 10.3 item 4) */
	if (strcmp(aor, id->aor)) {
		uas_refuse(u, 403);
		return;
	}

	reg = mem_zalloc(sizeof(*reg), reg_destructor);
	if (!reg) {
		uas_refuse(u, 503);
		return;
	}
	reg->u = mem_ref(u);
	str_ncpy(reg->aor, aor, sizeof(reg->aor));

	if (msg->callid.l > CALL_ID_MAX || route_read(&reg->path, msg, HDR_PATH))
		uas_reply(u, 400, NULL, NULL);
	else
		bind_contacts(reg, id);
	mem_deref(reg);
}

/**
 * Serve a REGISTER
 *
 * @param msg A request that the guard has let through
 */
void registrar_handle(struct agent *ag, const struct sip_msg *msg)
{
	struct uas *u;

	if (!settings_is_ours(ag->set, &msg->uri)) {
		uas_reply_stateless(ag, msg, 404, "Not Our Domain", NULL);
		return;
	}

	if (!pgloop_is_ready(ag->pl) || uas_alloc(&u, ag, msg)) {
		uas_reply_stateless(ag, msg, 503, NULL, "Retry-After: 1\r\n");
		return;
	}

	auth_request(u, on_authentic, NULL);
	mem_deref(u);
}
