/*
 * SUBSCRIBE: authenticated, written to the database with its dialog, answered
 * after the commit.  The NOTIFYs are the notifier's.
 */
#include "event/subscribe.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/auth.h"
#include "common/json_write.h"
#include "common/sipuri.h"
#include "event/event.h"
#include "event/notifier.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "pg/pgloop.h"
#include "settings/ours.h"
#include "settings/reach.h"
#include "settings/settings.h"
#include "transaction/address.h"
#include "transaction/dialog.h"
#include "transaction/flow.h"
#include "transaction/local_target.h"
#include "transaction/uas.h"

enum {
	JSON_MAX = 16 * 1024,
	DEFAULT_EXPIRES_S = 3600, /* RFC 3856 section 6.4, RFC 3842 3.4 */
	TARGET_SIZE = 128,
};

struct subscribe {
	struct uas *u;
	char aor[AOR_BUF];  /* of the subscriber */
	char *route;	    /* NULL where there is none */
	char *local_target; /* our own URI in this dialog */
	uint32_t expires_s;
	struct buf json;
};

static const struct pg_stmt stmt_subscribe = {
	.name = "sip_subscribe",
	.sql = "select * from api.sip_subscribe($1, $2, $3, $4, $5, $6, $7)",
	.nparams = 7,
	.write = true,
};

static void destructor(void *arg)
{
	struct subscribe *s = arg;

	mem_deref(s->u);
	mem_deref(s->route);
	mem_deref(s->local_target);
	buf_free(&s->json);
}

/* --- the answer --------------------------------------------------------- */

/* As of a REGISTER: registrar.c */
static void learn_address(const struct subscribe *s)
{
	const struct sip_msg *msg = uas_msg(s->u);
	const struct address from = {.sa = msg->src, .tp = msg->tp};

	if (s->expires_s)
		address_prove(uas_agent(s->u)->addresses, &from, s->expires_s,
			      tmr_jiffies());
}

static void on_subscribed(const struct pg_answer *ans, void *arg)
{
	struct subscribe *s = arg;
	struct agent *ag = uas_agent(s->u);
	const char *tag = NULL;

	if (ans->end == PG_OK)
		tag = pgres_text(ans->res, 0, "local_tag");
	if (tag) {
		learn_address(s);
		uas_reply_dialog(
			s->u, tag,
			"Expires: %u\r\nContact: <%s>\r\n" UAS_ALLOW_EVENTS,
			s->expires_s, s->local_target);
		notifier_ring(ag->notifier);
	} else {
		auth_db_failed(s->u, s->aor, ans);
	}
	mem_deref(s);
}

/* --- the request -------------------------------------------------------- */

/* Jami names its server where its own address belongs.  NOTIFYs go over the
   flow that this came over, and nothing is ever sent to ourselves */
static bool is_servers_for_own(struct uas *u, const struct sipuri *uri)
{
	const struct agent *ag = uas_agent(u);
	char flow[FLOW_TEXT_SIZE];

	return settings_is_own_contact(ag->set, uri) &&
	       !flow_of(flow, sizeof(flow), ag->flows, ag->sip, uas_msg(u)) &&
	       *flow;
}

/* The one Contact, which is where NOTIFYs go; @return false: refused */
static bool check_contact(struct uas *u)
{
	const struct sip_msg *msg = uas_msg(u);
	struct nameaddr contact;
	struct sipuri uri;

	if (hdr_count(msg, HDR_CONTACT) != 1 ||
	    nameaddr_decode(&contact, hdr_get(msg, HDR_CONTACT)) ||
	    sipuri_parse(&uri, contact.uri.p, contact.uri.l)) {
		uas_reply(u, 400, "Needs One SIP Contact", NULL);
		return false;
	}
	if (!settings_may_bind(uas_agent(u)->set, &uri) &&
	    !is_servers_for_own(u, &uri)) {
		uas_reply(u, 403, "Contact Not Allowed", NULL);
		return false;
	}

	return true;
}

static bool read_expires(struct subscribe *s)
{
	const struct settings *set = uas_agent(s->u)->set;
	const struct sip_msg *msg = uas_msg(s->u);
	const struct pl *val = hdr_get(msg, HDR_EXPIRES);
	uint64_t n = DEFAULT_EXPIRES_S;
	uint32_t max_s = settings_max_expires(set);

	if (val)
		(void)hdr_number(&n, val, UINT32_MAX); /* the gate saw to it */
	if (n && n < settings_min_expires(set)) {
		uas_reply(s->u, 423, NULL, "Min-Expires: %u\r\n",
			  settings_min_expires(set));
		return false;
	}
	if (msg->tp != SIP_TRANSP_UDP && max_s > FLOW_EXPIRES_MAX_S)
		max_s = FLOW_EXPIRES_MAX_S;
	s->expires_s = n < max_s ? (uint32_t)n : max_s;

	return true;
}

/* The dialog as app.subscription has it */
static int write_dialog(struct subscribe *s, const struct event *ev,
			const char *flow)
{
	struct buf *b = &s->json;
	char tag[UAS_TAG_SIZE], ip[64];
	struct dialog d;

	if (dialog_of_request(&d, uas_msg(s->u)))
		return EBADMSG;
	(void)re_snprintf(ip, sizeof(ip), "%j", &uas_msg(s->u)->src);
	if (!pl_isset(&d.local_tag)) {
		uas_tag(s->u, tag, sizeof(tag));
		pl_set_str(&d.local_tag, tag);
	}
	pl_set_str(&d.local_target, s->local_target);
	if (s->route)
		pl_set_str(&d.route, s->route);

	buf_init(b, JSON_MAX);
	buf_char(b, '{');
	json_member(b, "event", ev->package->name);
	if (pl_isset(&ev->id)) {
		json_key(b, "event_id");
		json_str(b, ev->id.p, ev->id.l);
	}
	dialog_json(b, &d);
	if (*flow)
		json_member(b, "flow", flow);
	json_member(b, "peer", ip);
	buf_char(b, '}');

	return b->failed ? ENOMEM : 0;
}

static int ask(struct subscribe *s, const struct auth_id *id, const char *aor)
{
	const struct agent *ag = uas_agent(s->u);
	const struct pl json = {s->json.p, s->json.len};
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(id->credential),
		pg_text(id->ha1),
		pg_text(aor),
		pg_pl(&json),
		pg_bool(pl_isset(&uas_msg(s->u)->to.tag)),
		pg_int(s->expires_s),
	};

	/* within a dialog, which names no resource: for the watcher's own */
	return pgloop_query_alone(ag->pl, *aor ? aor : id->aor, &stmt_subscribe,
				  valv, on_subscribed, s);
}

/* Take what the database needs from the request, then ask it */
static int subscribe(struct subscribe *s, const struct auth_id *id,
		     const char *aor)
{
	struct agent *ag = uas_agent(s->u);
	const struct sip_msg *msg = uas_msg(s->u);
	char flow[FLOW_TEXT_SIZE];
	struct event ev;
	int err;

	err = event_decode(&ev, msg);
	if (!err)
		err = dialog_route(&s->route, msg);
	if (!err)
		err = local_target_of(&s->local_target, ag, msg);
	if (!err)
		err = flow_of(flow, sizeof(flow), ag->flows, ag->sip, msg);
	if (!err)
		err = write_dialog(s, &ev, flow);
	if (!err)
		err = ask(s, id, aor);

	return err == EBADMSG ? EILSEQ : err;
}

static void on_authentic(struct uas *u, const struct auth_id *id)
{
	const struct sip_msg *msg = uas_msg(u);
	const bool within = pl_isset(&msg->to.tag);
	struct subscribe *s;
	char aor[AOR_BUF] = "";
	int err;

	if (!within && settings_to_aor(uas_agent(u)->set, aor, &msg->ruri)) {
		uas_refuse(u, 404);
		return;
	}
	if (!check_contact(u))
		return;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s) {
		uas_refuse(u, 503);
		return;
	}
	s->u = mem_ref(u);
	str_ncpy(s->aor, id->aor, sizeof(s->aor));
	if (!read_expires(s)) {
		mem_deref(s);
		return;
	}

	err = subscribe(s, id, aor);
	if (err) {
		uas_fail(u, err);
		mem_deref(s);
	}
}

/* @return false where it was refused */
static bool check(struct agent *ag, const struct sip_msg *msg)
{
	struct event ev;
	int err;

	err = event_decode(&ev, msg);
	if (err) {
		uas_reply_stateless(ag, msg, err == EBADMSG ? 400 : 489, NULL,
				    UAS_ALLOW_EVENTS);
		return false;
	}
	if (!event_is_acceptable(ev.package, msg)) {
		uas_reply_stateless(ag, msg, 406, NULL, NULL);
		return false;
	}
	if (!pl_isset(&msg->from.tag)) {
		uas_reply_stateless(ag, msg, 400, "Missing From Tag", NULL);
		return false;
	}

	return true;
}

/**
 * Serve a SUBSCRIBE
 *
 * @param msg A request that dispatch has let through
 */
void subscribe_handle(struct agent *ag, const struct sip_msg *msg)
{
	if (!check(ag, msg))
		return;

	auth_request(ag, msg, on_authentic);
}
