/*
 * An OPTIONS to the sender's own address of record goes on to one contact of
 * his, and its answer comes back: some phones ask so whether they can be
 * reached.  It goes as a proxy would send it, for they know their own request
 * by its Call-ID.  To the server, and to all others, the answer is the same for
 * everybody, and says nothing of users.
 */
#include "options/options.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/auth.h"
#include "common/aor.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/uri.h"
#include "pg/pgloop.h"
#include "settings/ours.h"
#include "transaction/flow.h"
#include "transaction/uac.h"
#include "transaction/uas.h"

enum {
	HOPS = 70,
	ANSWER_MAX = 4096, /* bytes of headers that are given back */
};

/** One that is on its way to a phone */
struct asked {
	struct uas *u;
	struct uac *uac;
	char *uri, *route, *flow;
	struct mbuf *mb;
};

static const struct pg_stmt stmt_contact = {
	.name = "sip_own_contact",
	.sql = "select * from api.sip_own_contact($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

static void destructor(void *arg)
{
	struct asked *a = arg;

	mem_deref(a->uac);
	mem_deref(a->u);
	mem_deref(a->uri);
	mem_deref(a->route);
	mem_deref(a->flow);
	mem_deref(a->mb);
}

/* --- the phone's answer --------------------------------------------------- */

/* What a phone can do; no header else is anybody's affair */
static int write_answer(struct mbuf *mb, const struct sip_msg *msg)
{
	static const char *const told[] = {
		"Accept",	"Accept-Encoding", "Accept-Language", "Allow",
		"Allow-Events", "Supported",	   "User-Agent",
	};
	int err = 0;

	for (struct le *le = list_head(&msg->hdrl); le; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
			if (!pl_strcasecmp(&hdr->name, told[i]) &&
			    uri_is_line(&hdr->val))
				err |= mbuf_printf(mb, "%s: %r\r\n", told[i],
						   &hdr->val);
		}
	}

	return mb->end > ANSWER_MAX ? EMSGSIZE : err;
}

/* A challenge is not for the sender, and 503 would be trouble of our own */
static uint16_t code_of(int code)
{
	return !code || code == 401 || code == 407 || code == 503
		       ? 480
		       : (uint16_t)code;
}

static void on_answer(int code, const char *reason, const struct sip_msg *msg,
		      void *arg)
{
	struct asked *a = arg;
	struct mbuf *mb = mbuf_alloc(512);
	char *hdrs = NULL;
	int err = mb ? 0 : ENOMEM;

	if (!err && msg)
		err = write_answer(mb, msg);
	if (!err && mb->end) {
		mbuf_set_pos(mb, 0);
		err = mbuf_strdup(mb, &hdrs, mb->end);
	}
	if (err)
		uas_fail(a->u, err);
	else
		uas_reply(a->u, code_of(code),
			  code_of(code) == code ? reason : NULL, "%s",
			  hdrs ? hdrs : "");
	mem_deref(hdrs);
	mem_deref(mb);
	mem_deref(a);
}

/* --- to the phone --------------------------------------------------------- */

/* Headers that are of this hop, or for us */
static bool is_ours(const struct sip_hdr *hdr)
{
	static const char *const ours[] = {
		"Via",
		"v",
		"Route",
		"Record-Route",
		"Max-Forwards",
		"Authorization",
		"Proxy-Authorization",
		"Proxy-Require",
		"Content-Length",
		"l",
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		if (!pl_strcasecmp(&hdr->name, ours[i]))
			return true;
	}

	return false;
}

static int encode(struct asked *a, uint64_t hops)
{
	const struct sip_msg *msg = uas_msg(a->u);
	const size_t len = hdr_body_len(msg);
	struct mbuf *mb = a->mb = mbuf_alloc(1024 + len);
	int err;

	if (!mb)
		return ENOMEM;

	err = mbuf_printf(mb, "Max-Forwards: %llu\r\n", hops);
	if (a->route)
		err |= mbuf_printf(mb, "Route: %s\r\n", a->route);
	for (struct le *le = list_head(&msg->hdrl); le; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (!is_ours(hdr))
			err |= mbuf_printf(mb, "%r: %r\r\n", &hdr->name,
					   &hdr->val);
	}
	err |= mbuf_printf(mb, "Content-Length: %zu\r\n\r\n", len);
	err |= mbuf_write_mem(mb, mbuf_buf(msg->mb), len);
	mbuf_set_pos(mb, 0);

	return err;
}

static int dup_column(char **dst, const struct pg_answer *ans,
		      const char *column)
{
	const char *text = pgres_text(ans->res, 0, column);
	struct pl pl;

	if (!text)
		return 0;
	pl_set_str(&pl, text);

	return uri_is_line(&pl) ? str_dup(dst, text) : EINVAL;
}

static int send_on(struct asked *a, const struct pg_answer *ans)
{
	const struct sip_msg *msg = uas_msg(a->u);
	const struct pl *val = hdr_get(msg, HDR_MAX_FORWARDS);
	struct uac_request req = {.method = "OPTIONS"};
	uint64_t hops = HOPS;
	int err;

	if (val)
		(void)hdr_number(&hops, val, UINT32_MAX);
	if (!hops) {
		uas_refuse(a->u, 483);
		mem_deref(a);
		return 0;
	}

	err = uri_of_contact(&a->uri, pgres_text(ans->res, 0, "contact"));
	if (!err)
		err = dup_column(&a->route, ans, "path");
	if (!err)
		err = dup_column(&a->flow, ans, "flow");
	if (!err)
		err = encode(a, hops - 1);
	if (err)
		return err;

	req.uri = a->uri;
	req.route = a->route;
	req.flow = a->flow;
	req.account = pgres_int(ans->res, 0, "account");
	req.mb = a->mb;
	req.body_len = hdr_body_len(msg);
	req.sort_key = rand_u64();
	req.request_id = uas_id(a->u);
	err = uac_alloc(&a->uac, uas_agent(a->u), &req, on_answer, a);
	if (!err)
		uac_start(a->uac);

	return err;
}

static void on_contact(const struct pg_answer *ans, void *arg)
{
	struct asked *a = arg;
	int err = 0;

	if (ans->end != PG_OK) {
		uas_db_failed(a->u, ans);
		mem_deref(a);
	} else if (!pgres_text(ans->res, 0, "contact")) {
		uas_refuse(a->u, 480);
		mem_deref(a);
	} else {
		err = send_on(a, ans);
	}
	if (err) {
		uas_fail(a->u, err);
		mem_deref(a);
	}
}

static void on_authentic(struct uas *u, const struct auth_id *id)
{
	struct agent *ag = uas_agent(u);
	struct asked *a = mem_zalloc(sizeof(*a), destructor);
	char flow[FLOW_TEXT_SIZE] = "";
	int err;

	if (!a) {
		uas_refuse(u, 503);
		return;
	}

	a->u = mem_ref(u);
	err = flow_of(flow, sizeof(flow), ag->flows, ag->sip, uas_msg(u));
	if (!err) {
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(ag->pl)),
			pg_int(id->credential),
			pg_text(id->ha1),
			pg_text(id->aor),
			pg_text(flow),
		};

		err = pgloop_query(ag->pl, &stmt_contact, valv, on_contact, a);
	}
	if (err) {
		uas_fail(u, err);
		mem_deref(a);
	}
}

/* --- the request ---------------------------------------------------------- */

/* Whether it is for whom it says that it is from */
static bool is_for_sender(const struct agent *ag, const struct sip_msg *msg)
{
	char from[AOR_BUF], to[AOR_BUF];
	struct nameaddr na;

	return pl_isset(&msg->uri.user) &&
	       settings_is_ours(ag->set, &msg->uri) &&
	       !nameaddr_decode(&na, hdr_get(msg, HDR_FROM)) &&
	       !settings_to_aor(ag->set, from, &na.uri) &&
	       !settings_to_aor(ag->set, to, &msg->ruri) && aor_same(from, to);
}

/**
 * Serve an OPTIONS
 *
 * @param msg A request that dispatch has let through
 */
void options_handle(struct agent *ag, const struct sip_msg *msg)
{
	if (is_for_sender(ag, msg)) {
		auth_request(ag, msg, on_authentic);
		return;
	}
	uas_reply_stateless(ag, msg, 200, NULL,
			    UAS_ALLOW UAS_ALLOW_EVENTS UAS_SUPPORTED
			    "Accept: */*\r\n"
			    "Accept-Encoding: deflate, identity\r\n"
			    "Accept-Language: en\r\n");
}
