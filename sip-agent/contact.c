/*
 * Reads the contacts of a REGISTER into the JSON that the database takes, and
 * applies the rules of intervals and of what may be bound.
 */
#include "contact.h"

#include <errno.h>
#include <string.h>

#include "hdr.h"
#include "json.h"
#include "nameaddr.h"
#include "settings.h"
#include "uri.h"

enum {
	/* libre closes a connection that was silent for 900 s, and with it
	   goes the binding: let the phone refresh earlier */
	FLOW_EXPIRES_MAX_S = 840,
	MALFORMED_EXPIRES_S = 3600, /* RFC 3261 section 10.3 item 6 */
};

struct reading {
	struct contact_set *cs;
	const struct sip_msg *msg;
	const char *why;
	int err;
};

static int fail(struct reading *r, int err, const char *why)
{
	r->why = why;

	return err;
}

/* qvalue of RFC 3261 section 25.1: 0 to 1 with up to three decimals */
static bool is_qvalue(const struct pl *pl)
{
	bool zeros = true;

	if (!pl->l || pl->l > 5 || (*pl->p != '0' && *pl->p != '1'))
		return false;
	if (pl->l > 1 && pl->p[1] != '.')
		return false;

	for (size_t i = 2; i < pl->l; i++) {
		if (pl->p[i] < '0' || pl->p[i] > '9')
			return false;
		zeros = zeros && pl->p[i] == '0';
	}

	return *pl->p == '0' || zeros;
}

static uint32_t granted(const struct contact_set *cs, uint32_t asked_s)
{
	uint32_t max_s = settings_max_expires(cs->set);

	if (cs->flow && max_s > FLOW_EXPIRES_MAX_S)
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
	*expires_s = granted(r->cs, (uint32_t)n);

	return 0;
}

static int check_uri(struct reading *r, const struct nameaddr *na,
		     struct uri *uri)
{
	if (na->uri.l > CONTACT_URI_MAX || uri_decode(uri, &na->uri))
		return fail(r, EBADMSG, "Bad Contact");

	if (pl_strcasecmp(&uri->scheme, "sip") &&
	    pl_strcasecmp(&uri->scheme, "sips"))
		return fail(r, EBADMSG, "Contact Must Be a SIP URI");

	return 0;
}

static int write_json(struct reading *r, const struct nameaddr *na,
		      const char *key, uint32_t expires_s)
{
	struct mbuf *mb = r->cs->json;
	struct pl q, instance, reg_id;
	uint64_t n;
	int err;

	err = mbuf_printf(mb, "%s{\"contact\":", r->cs->count ? "," : "");
	err |= json_write_pl(mb, &na->uri);
	err |= mbuf_write_str(mb, ",\"key\":");
	err |= json_write_str(mb, key);
	err |= mbuf_printf(mb, ",\"expires\":%u", expires_s);

	if (nameaddr_param(na, "q", &q)) {
		if (!is_qvalue(&q))
			return fail(r, EBADMSG, "Bad q");
		err |= mbuf_printf(mb, ",\"q\":%r", &q);
		/* JSON has no number that ends in a point */
		if (q.p[q.l - 1] == '.')
			err |= mbuf_write_str(mb, "0");
	}
	if (nameaddr_param(na, "+sip.instance", &instance) && instance.l) {
		err |= mbuf_write_str(mb, ",\"instance\":");
		err |= json_write_pl(mb, &instance);
		if (nameaddr_param(na, "reg-id", &reg_id)) {
			if (hdr_number(&n, &reg_id, INT32_MAX) || !n)
				return fail(r, EBADMSG, "Bad reg-id");
			err |= mbuf_printf(mb, ",\"reg_id\":%llu", n);
		}
	}
	err |= mbuf_write_str(mb, "}");

	return err;
}

static int read_contact(struct reading *r, const struct nameaddr *na)
{
	char key[URI_KEY_SIZE];
	uint32_t expires_s;
	struct uri uri;
	int err;

	err = check_uri(r, na, &uri);
	if (err)
		return err;

	err = read_expires(&expires_s, r, na);
	if (err)
		return err;

	/* what may not be bound may still be removed */
	if (expires_s && !settings_may_bind(r->cs->set, &uri))
		return fail(r, EACCES, "Contact Not Allowed");

	if (uri_key(key, sizeof(key), &na->uri))
		return fail(r, EBADMSG, "Bad Contact");

	if (r->cs->count >= CONTACTS_MAX)
		return fail(r, EBADMSG, "Too Many Contacts");

	err = write_json(r, na, key, expires_s);
	if (!err)
		r->cs->count++;

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
	if (expires)
		(void)hdr_number(&n, expires, UINT32_MAX); /* guard saw to it */
	cs->expires_s = (uint32_t)n;

	cs->json = mbuf_alloc(512);
	if (!cs->json)
		return ENOMEM;

	r.err = mbuf_write_str(cs->json, "[");
	if (!r.err)
		(void)hdr_each(msg, HDR_CONTACT, line_handler, &r);
	if (!r.err)
		r.err = check_star(&r);
	if (!r.err)
		r.err = mbuf_write_str(cs->json, "]");
	*why = r.why;

	return r.err;
}

void contact_set_close(struct contact_set *cs)
{
	cs->json = mem_deref(cs->json);
}
