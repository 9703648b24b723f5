/*
 * PUBLISH: authenticated, its document read, kept by the database as presence
 * of the phone's contact, answered after the commit (RFC 3903 section 6).
 */
#include "event/publish.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/auth.h"
#include "common/aor.h"
#include "common/arena.h"
#include "common/presence/pidf.h"
#include "common/sipuri.h"
#include "event/event.h"
#include "parse/hdr.h"
#include "pg/pgloop.h"
#include "settings/ours.h"
#include "settings/settings.h"
#include "transaction/body.h"
#include "transaction/flow.h"
#include "transaction/uas.h"

enum {
	JSON_MAX = 64 * 1024,	  /* any document within its bounds, escaped */
	DEFAULT_EXPIRES_S = 3600, /* RFC 3856 section 6.4 */
	CALL_ID_MAX = 1024,
};

struct publish {
	struct uas *u;
	char aor[AOR_BUF];
};

/** What a document says, as the database takes it */
struct document {
	struct buf presence; /* JSON; empty: there was no document */
	char contact_key[SIPURI_KEY_BUF]; /* empty: it names no contact */
	const char *why;		  /* what is wrong with it */
};

static const struct pg_stmt stmt_publish = {
	.name = "sip_publish",
	.sql = "select * from api.sip_publish($1, $2, $3, $4, $5, $6, $7, $8, $9, "
	       "$10, $11)",
	.nparams = 11,
	.write = true,
};

static void destructor(void *arg)
{
	struct publish *p = arg;

	mem_deref(p->u);
}

static void on_published(const struct pg_answer *ans, void *arg)
{
	struct publish *p = arg;
	const char *etag = NULL;

	if (ans->end == PG_OK)
		etag = pgres_text(ans->res, 0, "etag");
	if (etag)
		uas_reply(p->u, 200, NULL, "SIP-ETag: %s\r\nExpires: %lld\r\n",
			  etag, pgres_int(ans->res, 0, "expires"));
	else if (ans->end == PG_REFUSED && ans->status == 413)
		uas_reply(p->u, 413, "Larger than bound login_members", NULL);
	else
		auth_db_failed(p->u, p->aor, ans);
	mem_deref(p);
}

/* --- the document ------------------------------------------------------- */

static void take_contact(struct document *doc, const struct pidf *pidf)
{
	struct sipuri uri;

	if (!pidf->contact ||
	    sipuri_parse(&uri, pidf->contact, strlen(pidf->contact)) ||
	    sipuri_key(doc->contact_key, &uri))
		doc->contact_key[0] = '\0';
}

/* @return as pidf_parse() */
static int read_document(struct document *doc, const struct pl *text)
{
	struct arena *a;
	struct pidf pidf;
	int err;

	if (!text->l)
		return 0;

	a = arena_new();
	if (!a)
		return ENOMEM;

	err = pidf_parse(&pidf, a, text->p, text->l, &doc->why);
	if (!err) {
		presence_write(&doc->presence, &pidf.presence, NULL);
		take_contact(doc, &pidf);
		err = doc->presence.failed ? ENOMEM : 0;
	}
	arena_free(a);

	return err;
}

/* --- the request -------------------------------------------------------- */

static bool read_expires(uint32_t *expires_s, struct uas *u)
{
	const struct settings *set = uas_agent(u)->set;
	const struct pl *val = hdr_get(uas_msg(u), HDR_EXPIRES);
	const uint32_t max_s = settings_max_expires(set);
	uint64_t n = DEFAULT_EXPIRES_S;

	if (val)
		(void)hdr_number(&n, val, UINT32_MAX); /* the gate saw to it */
	if (n && n < settings_min_expires(set)) {
		uas_reply(u, 423, NULL, "Min-Expires: %u\r\n",
			  settings_min_expires(set));
		return false;
	}
	*expires_s = n < max_s ? (uint32_t)n : max_s;

	return true;
}

/* NULL where there is none; a tag that is none of ours is unknown to the
   database too */
static struct pg_val if_match(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_SIP_IF_MATCH);

	if (!val)
		return pg_null();
	if (!val->l || val->l > PUBLISH_ETAG_MAX || !pg_is_text(val->p, val->l))
		return pg_text("");

	return pg_pl(val);
}

static int ask(struct publish *p, const struct auth_id *id,
	       const struct document *doc, uint32_t expires_s)
{
	const struct sip_msg *msg = uas_msg(p->u);
	struct agent *ag = uas_agent(p->u);
	const struct pl json = {doc->presence.p, doc->presence.len};
	char flow[FLOW_TEXT_SIZE];
	int err;

	err = flow_of(flow, sizeof(flow), ag->flows, ag->sip, msg);
	if (err)
		return err;

	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(id->credential),
		pg_text(id->ha1),
		pg_text(id->aor),
		pg_pl(&msg->callid),
		pg_int(msg->cseq.num),
		if_match(msg),
		json.l ? pg_pl(&json) : pg_null(),
		doc->contact_key[0] ? pg_text(doc->contact_key) : pg_null(),
		flow[0] ? pg_text(flow) : pg_null(),
		pg_int(expires_s),
	};

	return pgloop_query_alone(ag->pl, id->aor, &stmt_publish, valv,
				  on_published, p);
}

static void publish(struct uas *u, const struct auth_id *id,
		    const struct document *doc)
{
	struct publish *p;
	uint32_t expires_s;
	int err;

	if (!read_expires(&expires_s, u))
		return;

	p = mem_zalloc(sizeof(*p), destructor);
	if (!p) {
		uas_refuse(u, 503);
		return;
	}
	p->u = mem_ref(u);
	str_ncpy(p->aor, id->aor, sizeof(p->aor));
	err = ask(p, id, doc, expires_s);
	if (err) {
		uas_fail(u, err);
		mem_deref(p);
	}
}

static void publish_document(struct uas *u, const struct auth_id *id,
			     const struct pl *text)
{
	struct document doc = {.contact_key = ""};

	buf_init(&doc.presence, JSON_MAX);
	switch (read_document(&doc, text)) {
	case 0:
		publish(u, id, &doc);
		break;

	case EBADMSG:
		uas_reply(u, 400, doc.why, NULL);
		break;

	case EMSGSIZE:
		uas_reply(u, 413, doc.why, NULL);
		break;

	default:
		uas_refuse(u, 503);
		break;
	}
	buf_free(&doc.presence);
}

static void on_authentic(struct uas *u, const struct auth_id *id)
{
	const struct sip_msg *msg = uas_msg(u);
	char aor[AOR_BUF];
	struct body body;
	int err;

	if (settings_to_aor(uas_agent(u)->set, aor, &msg->ruri)) {
		uas_refuse(u, 404);
		return;
	}
	/* nobody publishes for another (RFC 3903 section 6 item 2) */
	if (!aor_same(aor, id->aor)) {
		uas_refuse(u, 403);
		return;
	}

	err = body_open(&body, msg);
	if (err)
		body_refuse(u, err);
	else
		publish_document(u, id, &body.data);
	body_close(&body);
}

/* @return false where it was refused */
static bool check(struct agent *ag, const struct sip_msg *msg)
{
	struct event ev;

	if (event_decode(&ev, msg) || strcmp(ev.package->name, "presence")) {
		uas_reply_stateless(ag, msg, 489, NULL,
				    "Allow-Events: presence\r\n");
		return false;
	}
	if (msg->callid.l > CALL_ID_MAX) {
		uas_reply_stateless(ag, msg, 400, "Bad Call-ID", NULL);
		return false;
	}

	if (hdr_body_len(msg) &&
	    !msg_ctype_cmp(&msg->ctyp, ev.package->type, ev.package->subtype)) {
		uas_reply_stateless(ag, msg, 415, NULL,
				    "Accept: application/pidf+xml\r\n");
		return false;
	}

	return true;
}

/**
 * Serve a PUBLISH
 *
 * @param msg A request that dispatch has let through
 */
void publish_handle(struct agent *ag, const struct sip_msg *msg)
{
	if (!check(ag, msg))
		return;

	auth_request(ag, msg, on_authentic);
}
