/*
 * Reads the contacts of a REGISTER into the JSON that the database takes, and
 * applies the rules of intervals and of what may be bound.
 */
#include "registrar/contact.h"

#include <errno.h>
#include <string.h>

#include "common/json_write.h"
#include "common/sipuri.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "pg/pgval.h"
#include "settings/reach.h"
#include "settings/settings.h"
#include "transaction/flow.h"
#include "transaction/next_hop.h"

enum {
	JSON_MAX = 128 * 1024,
	TEXT_MAX = 4096,	    /* of a name, or of parameters */
	PARAMS_MAX = 64,	    /* of them: each is an element of reginfo */
	Q_MAX = 16,		    /* characters of a qvalue */
	MALFORMED_EXPIRES_S = 3600, /* RFC 3261 section 10.3 item 6 */
	KEY_BUF = SIPURI_KEY_BUF + 64,
};

struct reading {
	struct contact_set *cs;
	const struct sip_msg *msg;
	const char *why;
	unsigned bound; /* contacts that are not to be removed */
	int err;
};

static int fail(struct reading *r, int err, const char *why)
{
	r->why = why;

	return err;
}

/*
 * A qvalue in thousandths.  RFC 3261 section 25.1 has 0 to 1 with up to three
 * decimals; some send more of them, or none before the point.
 *
 * @return 0 or EBADMSG
 */
static int read_q(unsigned *thousandths, const struct pl *pl)
{
	const char *point = pl_strchr(pl, '.');
	const struct pl whole = {pl->p,
				 point ? (size_t)(point - pl->p) : pl->l};
	unsigned n, unit = 1000;
	bool more = false;

	if (pl->l > Q_MAX || pl->l == (point ? 1u : 0u) || whole.l > 1)
		return EBADMSG;
	n = whole.l ? (unsigned)(*whole.p - '0') * unit : 0;
	if (whole.l && (*whole.p < '0' || *whole.p > '1'))
		return EBADMSG;
	for (const char *p = pl->p + whole.l + 1; p < pl->p + pl->l; p++) {
		if (*p < '0' || *p > '9')
			return EBADMSG;
		unit /= 10;
		n += (unsigned)(*p - '0') * unit;
		more = more || *p != '0';
	}
	if (n > 1000 || (n == 1000 && more))
		return EBADMSG;
	*thousandths = n;

	return 0;
}

/* Whether a contact is a flow of a device, and told how to keep it alive */
static bool is_outbound(const struct contact_set *cs, const struct nameaddr *na)
{
	struct pl val;

	return cs->keeps_alive && nameaddr_param(na, "+sip.instance", &val) &&
	       nameaddr_param(na, "reg-id", &val);
}

static uint32_t granted(const struct contact_set *cs, const struct nameaddr *na,
			uint32_t asked_s)
{
	uint32_t max_s = settings_max_expires(cs->set);

	if (cs->flow && !is_outbound(cs, na) && max_s > FLOW_EXPIRES_MAX_S)
		max_s = FLOW_EXPIRES_MAX_S;

	return asked_s < max_s ? asked_s : max_s;
}

static int read_expires(uint32_t *expires_s, struct reading *r,
			const struct nameaddr *na)
{
	uint64_t n = r->cs->expires_s;
	struct pl val;

	if (nameaddr_param(na, "expires", &val)) {
		switch (hdr_number(&n, &val, UINT32_MAX)) {
		case 0:
			break;

		case EOVERFLOW:
			return fail(r, EBADMSG, "Bad Expires");

		default:
			n = MALFORMED_EXPIRES_S;
			break;
		}
	}
	if (n && n < r->cs->min_s)
		r->cs->min_s = (uint32_t)n;
	*expires_s = granted(r->cs, na, (uint32_t)n);
	if (*expires_s > r->cs->max_s)
		r->cs->max_s = *expires_s;

	return 0;
}

static void write_q(struct buf *b, unsigned thousandths)
{
	char text[8];

	json_key(b, "q");
	(void)re_snprintf(text, sizeof(text), "%u.%03u", thousandths / 1000,
			  thousandths % 1000);
	buf_str(b, text);
}

static int write_instance(struct reading *r, const struct nameaddr *na)
{
	struct buf *b = &r->cs->json;
	struct pl instance, reg_id;
	uint64_t n;

	if (!nameaddr_param(na, "+sip.instance", &instance) || !instance.l)
		return 0;
	if (!pg_is_text(instance.p, instance.l))
		return fail(r, EBADMSG, "Bad +sip.instance");

	json_key(b, "instance");
	json_str(b, instance.p, instance.l);
	if (nameaddr_param(na, "reg-id", &reg_id)) {
		if (hdr_number(&n, &reg_id, INT32_MAX) || !n)
			return fail(r, EBADMSG, "Bad reg-id");
		if (!r->cs->keeps_alive)
			return 0; /* means nothing (RFC 5626 section 6) */
		json_member_int(b, "reg_id", (int64_t)n);
		r->cs->outbound = true;
	}

	return 0;
}

/* A text that grows to TEXT_MAX */
struct text {
	char p[TEXT_MAX];
	size_t n;
	bool full;
};

/* On one line: a folded one is unfolded */
static void add(struct text *t, const struct pl *pl)
{
	for (size_t i = 0; i < pl->l; i++) {
		if (pl->p[i] == '\r' || pl->p[i] == '\n')
			continue;
		if (t->n == sizeof(t->p)) {
			t->full = true;
			return;
		}
		t->p[t->n++] = pl->p[i];
	}
}

/* What is no text is left out: nobody could be shown it */
static int write_text(struct reading *r, const char *key, const struct text *t)
{
	if (t->full)
		return fail(r, EBADMSG, "Contact Too Large");
	if (!t->n || !pg_is_text(t->p, t->n))
		return 0;
	json_key(&r->cs->json, key);
	json_str(&r->cs->json, t->p, t->n);

	return 0;
}

/* The display name, without the quotes of its string */
static int write_name(struct reading *r, const struct nameaddr *na)
{
	struct pl pl = na->display;
	const bool quoted = pl.l >= 2 && *pl.p == '"';
	struct text t;

	if (!pl.l)
		return 0;

	t.n = 0;
	t.full = false;
	if (quoted)
		pl = (struct pl){pl.p + 1, pl.l - 2};
	for (; pl.l; pl_advance(&pl, 1)) {
		if (quoted && *pl.p == '\\' && pl.l > 1)
			pl_advance(&pl, 1);
		add(&t, &(struct pl){pl.p, 1});
	}

	return write_text(r, "name", &t);
}

/* What the registrar itself answers with */
static bool is_own_param(const struct pl *name)
{
	static const char *const own[] = {
		"expires",  "q",	 "+sip.instance",    "reg-id",
		"pub-gruu", "temp-gruu", "temp-gruu-cookie",
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		if (!pl_strcasecmp(name, own[i]))
			return true;
	}

	return false;
}

/* All others, as they came: features (RFC 3840) and what we know nothing of */
static int write_params(struct reading *r, const struct nameaddr *na)
{
	struct pl rest = na->params, name, text;
	const struct pl semicolon = PL(";");
	struct text t;
	unsigned n = 0;

	if (!rest.l)
		return 0;

	t.n = 0;
	t.full = false;
	while (nameaddr_next_param(&name, &text, &rest)) {
		t.full = t.full || ++n > PARAMS_MAX;
		if (is_own_param(&name) || !pg_is_text(text.p, text.l))
			continue;
		add(&t, &semicolon);
		add(&t, &text);
	}

	return write_text(r, "params", &t);
}

/* Whether another connection can be opened to a contact once this one is gone:
   to its proxy, if it has one in its Path */
static bool dials(const struct reading *r, const struct nameaddr *na)
{
	const struct pl *path = hdr_get(r->msg, HDR_PATH);
	struct nameaddr hop = *na;
	struct pl list;

	if (path) {
		list = *path;
		if (nameaddr_take(&hop, &list))
			return false;
	}

	return next_hop_dials(&hop.uri, r->msg->tp, &r->msg->src);
}

static int write_json(struct reading *r, const struct nameaddr *na,
		      const char *key, uint32_t expires_s)
{
	struct buf *b = &r->cs->json;
	unsigned q;
	struct pl val;
	int err;

	buf_str(b, r->cs->count ? ",{" : "{");
	json_key(b, "contact");
	json_str(b, na->uri.p, na->uri.l);
	json_member(b, "key", key);
	json_member_int(b, "expires", expires_s);
	if (nameaddr_param(na, "q", &val)) {
		if (read_q(&q, &val))
			return fail(r, EBADMSG, "Bad q");
		write_q(b, q);
	}
	if (expires_s && dials(r, na)) {
		json_key(b, "dials");
		buf_str(b, "true");
	}
	err = write_instance(r, na);
	if (!err && expires_s)
		err = write_name(r, na);
	if (!err && expires_s)
		err = write_params(r, na);
	buf_char(b, '}');

	return err;
}

/* A request that binds a flow binds nothing else (RFC 5626 section 6) */
static bool is_crowded(const struct reading *r)
{
	return r->cs->outbound && r->bound > 1;
}

/* Behind a NAT many phones have the same address: the key's third part says
   where this one has registered from (app.login_key) */
static void add_nat(char key[static KEY_BUF], const struct reading *r,
		    const struct sipuri *uri)
{
	char host[64];
	const size_t len = strlen(key);
	struct pl pl = {uri->host.p, uri->host.n};
	struct sa sa;

	if (pl.l > 2 && *pl.p == '[')
		pl = (struct pl){pl.p + 1, pl.l - 2};
	if (hdr_get(r->msg, HDR_PATH) || pl_strcpy(&pl, host, sizeof(host)) ||
	    sa_set_str(&sa, host, 0) || sa_cmp(&sa, &r->msg->src, SA_ADDR))
		return;
	(void)re_snprintf(key + len, KEY_BUF - len, "%s%j",
			  strchr(key, ' ') ? " " : "  ", &r->msg->src);
}

static int read_contact(struct reading *r, const struct nameaddr *na)
{
	char key[KEY_BUF];
	uint32_t expires_s;
	struct sipuri uri;
	struct pl instance;
	int err;

	if (sipuri_parse(&uri, na->uri.p, na->uri.l))
		return fail(r, EBADMSG, "Contact Must Be a SIP URI");

	err = read_expires(&expires_s, r, na);
	if (err)
		return err;

	/* a contact that may not be bound may still be removed */
	if (expires_s && !settings_may_bind(r->cs->set, &uri))
		return fail(r, EACCES, "Contact Not Allowed");

	if (sipuri_key(key, &uri))
		return fail(r, EBADMSG, "Bad Contact");
	add_nat(key, r, &uri);

	if (r->cs->count >= CONTACTS_MAX)
		return fail(r, EBADMSG, "Too Many Contacts");

	err = write_json(r, na, key, expires_s);
	if (!err)
		r->cs->count++;
	if (expires_s)
		r->bound++;
	r->cs->plain = r->cs->count == 1 && expires_s && !r->cs->star &&
		       !nameaddr_param(na, "+sip.instance", &instance);

	return err;
}

static bool line_handler(const struct pl *val, void *arg)
{
	struct reading *r = arg;
	struct pl list = *val;
	struct nameaddr na;

	do {
		r->err = nameaddr_take(&na, &list);
		if (r->err == ENOENT) {
			r->err = 0;
			return false;
		}
		if (r->err) {
			r->why = "Bad Contact";
			return true;
		}
		if (na.star)
			r->cs->star = true;
		else
			r->err = read_contact(r, &na);
	} while (!r->err);

	return true;
}

/* `*` stands alone, with Expires: 0 (RFC 3261 section 10.2.2) */
static int check_star(struct reading *r)
{
	const struct pl *expires = hdr_get(r->msg, HDR_EXPIRES);
	uint64_t n;

	if (!r->cs->star)
		return 0;

	if (r->cs->count || hdr_count(r->msg, HDR_CONTACT) != 1 || !expires ||
	    hdr_number(&n, expires, UINT32_MAX) || n)
		return fail(r, EBADMSG, "Bad Use of *");

	return 0;
}

/**
 * Read the contacts of a REGISTER
 *
 * @param cs  Filled in; to be given to contact_set_close in any case
 * @param why Set to the reason phrase where it is refused
 *
 * @return 0, EBADMSG (400), EACCES (403), or another errno
 */
int contact_set_decode(struct contact_set *cs, const struct sip_msg *msg,
		       const struct settings *set, const char **why)
{
	const struct pl *expires = hdr_get(msg, HDR_EXPIRES);
	struct reading r = {.cs = cs, .msg = msg, .why = ""};
	uint64_t n = settings_default_expires(set);

	*cs = (struct contact_set){.min_s = UINT32_MAX, .set = set};
	cs->flow = msg->tp != SIP_TRANSP_UDP;
	cs->keeps_alive = hdr_has_token(msg, HDR_SUPPORTED, "outbound");
	if (expires)
		(void)hdr_number(&n, expires,
				 UINT32_MAX); /* the gate saw to it */
	cs->expires_s = (uint32_t)n;

	buf_init(&cs->json, JSON_MAX);
	buf_char(&cs->json, '[');
	(void)hdr_each(msg, HDR_CONTACT, line_handler, &r);
	buf_char(&cs->json, ']');
	if (!r.err)
		r.err = check_star(&r);
	if (!r.err && is_crowded(&r))
		r.err = fail(&r, EBADMSG, "One Flow At A Time");
	if (!r.err && cs->json.failed)
		r.err = ENOMEM;
	*why = r.why;

	return r.err;
}

void contact_set_close(struct contact_set *cs)
{
	buf_free(&cs->json);
}
