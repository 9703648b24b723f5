/*
 * REGISTER: authenticate, read the contacts, bind them in the database, and
 * answer with all bindings after the commit (RFC 3261 section 10.3; Path by
 * RFC 3327, flows by RFC 5626).
 */
#include "registrar/registrar.h"

#include <errno.h>

#include "agent.h"
#include "auth/auth.h"
#include "common/aor.h"
#include "common/json_write.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/route.h"
#include "pg/pgbatch.h"
#include "pg/pgloop.h"
#include "registrar/bindings.h"
#include "registrar/contact.h"
#include "settings/ours.h"
#include "settings/settings.h"
#include "transaction/address.h"
#include "transaction/codes.h"
#include "transaction/flow.h"
#include "transaction/uas.h"
#include "work/janitor.h"

enum {
	CALL_ID_MAX = 1024,
	USER_AGENT_MAX = 200,
	ITEM_MAX = 65536,
	/* each costs by itself: what waits meanwhile goes together */
	BATCHES_AT_ONCE = 1,
};

struct reg {
	struct uas *u;
	struct auth_id id;
	char *path; /* values joined, NULL where there is none */
	char flow[FLOW_TEXT_SIZE];
	struct buf contacts;	   /* JSON array */
	bool star, outbound, asks; /* asks: and binds or removes nothing */
	uint32_t bound_s;	   /* for how long it binds at most */
	char aor[AOR_BUF];
};

static const struct pg_stmt stmt_register = {
	.name = "sip_register",
	.sql = "select * from api.sip_register($1, $2, $3, $4, $5, $6, $7, $8, $9, "
	       "$10, $11)",
	.nparams = 11,
	.write = true,
};
static const struct pg_stmt stmt_registers = {
	.name = "sip_register_many",
	.sql = "select * from api.sip_register_many($1, $2)",
	.nparams = 2,
	.write = true,
};

static const struct pg_stmt stmt_flow_new = {
	.name = "flow_new",
	.sql = "select * from api.flow_new($1, $2)",
	.nparams = 2,
	.write = true,
};

/** Open what this file needs of an agent that has its database */
int registrar_open(struct agent *ag)
{
	static const struct pgbatch_conf conf = {
		.stmt = &stmt_registers,
		.line = PG_ASKED,
		.at_once = BATCHES_AT_ONCE,
		.items = PGBATCH_MAX,
	};

	return pgbatch_alloc(&ag->registrations, ag->pl, &conf);
}

static void reg_destructor(void *arg)
{
	struct reg *reg = arg;

	buf_free(&reg->contacts);
	mem_deref(reg->u);
	mem_deref(reg->path);
}

/* --- the answer --------------------------------------------------------- */

/* The connection has closed meanwhile: that was told before the binding was
   there */
static void check_flow(const struct reg *reg)
{
	const struct agent *ag = uas_agent(reg->u);
	enum sip_transp tp;
	struct sa peer;

	if (reg->flow[0] && flow_find(&peer, &tp, ag->flows, reg->flow))
		janitor_flow_lost(ag->janitor, reg->flow);
}

/* Its source was sent a nonce and has answered with it: it listens there */
static void learn_address(const struct reg *reg)
{
	const struct sip_msg *msg = uas_msg(reg->u);
	const struct address from = {.sa = msg->src, .tp = msg->tp};
	struct address_book *book = uas_agent(reg->u)->addresses;

	if (reg->bound_s)
		address_prove(book, &from, reg->bound_s, tmr_jiffies());
	else if (!reg->asks)
		address_forget(book, &from);
}

static void on_flow_told(const struct pg_answer *ans, void *arg)
{
	(void)ans; /* where it is lost, a NOTIFY is tried by and by */
	(void)arg;
}

/* What its phone could not be told over the connection before, it is now */
static void tell_flow(const struct reg *reg)
{
	const struct agent *ag = uas_agent(reg->u);
	const struct pg_val valv[] = {pg_int(pgloop_agent(ag->pl)),
				      pg_int(reg->id.credential)};

	if (reg->bound_s && reg->flow[0] &&
	    flow_is_new(ag->flows, uas_msg(reg->u)))
		(void)pgloop_query(ag->pl, &stmt_flow_new, valv, on_flow_told,
				   NULL);
}

static void take_bindings(struct reg *reg, const struct pg_answer *ans, int row,
			  int rows)
{
	check_flow(reg);
	if (ans->end == PG_OK) {
		learn_address(reg);
		tell_flow(reg);
		if (reg->bound_s && uas_agent(reg->u)->boundh)
			uas_agent(reg->u)->boundh(
				uas_agent(reg->u), reg->aor, uas_msg(reg->u),
				bindings_alone(ans, row, rows));
		bindings_reply(reg->u, ans, row, rows, reg->path,
			       reg->outbound);
	} else {
		auth_db_failed(reg->u, reg->aor, ans);
	}
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

static void on_registered(const struct pg_answer *ans, void *arg)
{
	take_bindings(arg, ans, 0, pg_rows(ans));
}

/* Any REGISTER, in a statement of its own */
static int ask_alone(struct reg *reg)
{
	const struct sip_msg *msg = uas_msg(reg->u);
	const struct agent *ag = uas_agent(reg->u);
	const struct pl json = {reg->contacts.p, reg->contacts.len};
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(reg->id.credential),
		pg_text(reg->id.ha1),
		pg_text(reg->id.aor),
		pg_pl(&msg->callid),
		pg_int(msg->cseq.num),
		pg_pl(&json),
		pg_bool(reg->star),
		pg_text(reg->path),
		reg->flow[0] ? pg_text(reg->flow) : pg_null(),
		user_agent(msg),
	};

	return pgloop_query_alone(ag->pl, reg->id.aor, &stmt_register, valv,
				  on_registered, reg);
}

static void on_batch(const struct pg_answer *ans, int row, int rows, void *arg)
{
	struct reg *reg = arg;
	int err = 0;

	if (rows || ans->end != PG_OK)
		take_bindings(reg, ans, row, rows);
	else
		err = ask_alone(reg);
	if (err) {
		uas_fail(reg->u, err);
		mem_deref(reg);
	}
}

static void add_text(struct buf *item, const char *key, const struct pg_val *v)
{
	if (!v->p)
		return;
	json_key(item, key);
	json_str(item, v->p, v->len);
}

/* The usual one, together with others of the moment */
static int ask_batch(struct reg *reg)
{
	const struct sip_msg *msg = uas_msg(reg->u);
	const struct pg_val agent = user_agent(msg);
	const struct pg_val call_id = pg_pl(&msg->callid);
	struct buf item;
	int err;

	buf_init(&item, ITEM_MAX);
	json_member_int(&item, "credential", reg->id.credential);
	json_member(&item, "ha1", reg->id.ha1);
	json_member(&item, "aor", reg->id.aor);
	add_text(&item, "call_id", &call_id);
	json_member_int(&item, "cseq", msg->cseq.num);
	json_member(&item, "path", reg->path);
	if (reg->flow[0])
		json_member(&item, "flow", reg->flow);
	add_text(&item, "user_agent", &agent);
	/* the contact's members, out of "[{...}]" */
	buf_char(&item, ',');
	buf_add(&item, reg->contacts.p + 2, reg->contacts.len - 3);

	err = pgbatch_ask(uas_agent(reg->u)->registrations, &item, on_batch,
			  reg);
	buf_free(&item);

	return err;
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

/* Whether outbound reaches from the phone to us: there is no proxy between, or
   the path's first URI says so (RFC 5626 section 6) */
static bool first_hop_keeps_flows(const struct reg *reg)
{
	struct nameaddr na;
	struct pl list, val;
	struct uri uri;

	if (hdr_count(uas_msg(reg->u), HDR_VIA) < 2)
		return true;
	if (!reg->path)
		return false;

	pl_set_str(&list, reg->path);

	return !nameaddr_take(&na, &list) && !uri_decode(&uri, &na.uri) &&
	       !msg_param_exists(&uri.params, "ob", &val);
}

static void bind_contacts(struct reg *reg)
{
	struct contact_set cs;
	const char *why = "";
	int err;

	err = contact_set_decode(&cs, uas_msg(reg->u), uas_agent(reg->u)->set,
				 &why);
	if (err == EBADMSG || err == EACCES) {
		uas_reply(reg->u, codes_of_error(err), why, NULL);
		goto out;
	}
	if (!err && is_too_brief(reg->u, &cs))
		goto out;
	if (!err && cs.outbound && !first_hop_keeps_flows(reg)) {
		uas_reply(reg->u, 439, "First Hop Lacks Outbound Support",
			  NULL);
		goto out;
	}
	if (!err)
		err = find_flow(reg->flow, reg->u, &cs);
	if (!err) {
		reg->contacts = cs.json;
		reg->star = cs.star;
		reg->outbound = cs.outbound;
		reg->asks = !cs.count && !cs.star;
		reg->bound_s = cs.max_s;
		buf_init(&cs.json, 0);
		err = cs.plain ? ask_batch(reg) : ask_alone(reg);
	}

	if (err)
		uas_fail(reg->u, err);
	else
		mem_ref(reg); /* on_registered has it */
out:
	contact_set_close(&cs);
}

static void on_authentic(struct uas *u, const struct auth_id *id)
{
	const struct sip_msg *msg = uas_msg(u);
	struct reg *reg;
	struct nameaddr to;
	char aor[AOR_BUF];
	int err;

	if (nameaddr_decode(&to, hdr_get(msg, HDR_TO)) ||
	    settings_to_aor(uas_agent(u)->set, aor, &to.uri)) {
		uas_reply(u, 400, "Bad To", NULL);
		return;
	}
	/* nobody registers for another (RFC 3261 section 10.3 item 4) */
	if (!aor_same(aor, id->aor)) {
		uas_refuse(u, 403);
		return;
	}

	reg = mem_zalloc(sizeof(*reg), reg_destructor);
	if (!reg) {
		uas_refuse(u, 503);
		return;
	}
	reg->u = mem_ref(u);
	reg->id = *id;
	str_ncpy(reg->aor, id->aor, sizeof(reg->aor));

	err = msg->callid.l > CALL_ID_MAX
		      ? EBADMSG
		      : route_read(&reg->path, msg, HDR_PATH);
	if (err)
		uas_fail(u, err);
	else
		bind_contacts(reg);
	mem_deref(reg);
}

/**
 * Serve a REGISTER
 *
 * @param msg A request that dispatch has let through
 */
void registrar_handle(struct agent *ag, const struct sip_msg *msg)
{
	auth_request(ag, msg, on_authentic);
}
