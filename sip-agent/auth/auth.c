/*
 * What a request says of its sender, and where it goes with that.
 *
 * No credentials, a nonce that is stale, or a wrong response: a challenge.
 */
#include "auth/auth.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/challenge.h"
#include "auth/credential.h"
#include "auth/step.h"
#include "auth/verdict.h"
#include "common/aor.h"
#include "gate/budget.h"
#include "gate/nonce.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/sanity_field.h"
#include "pg/pgloop.h"
#include "settings/ours.h"
#include "transaction/uas.h"

/**
 * Open what authentication needs of an agent that has its database
 */
int auth_open(struct agent *ag)
{
	int err = challenge_open(ag);

	if (!err)
		err = credential_open(ag);
	if (!err)
		err = verdict_open(ag);

	return err;
}

static void auth_destructor(void *arg)
{
	struct auth *a = arg;

	mem_deref(a->u);
}

struct search {
	struct digest_auth *digest;
	const char *realm;
	bool found;
};

/* There may be several Authorization headers, for several realms */
static bool realm_handler(const struct pl *val, void *arg)
{
	struct search *s = arg;

	if (digest_parse(s->digest, val) ||
	    pl_strcmp(&s->digest->realm, s->realm))
		return false;
	s->found = true;

	return true;
}

/* The digest's uri must be of the resource that the request is for (RFC 7616
   section 3.4.6): the same user and host, whatever port and parameters.  That
   of the server itself is what some clients put there */
static bool is_our_uri(const struct auth *a)
{
	const struct sip_msg *msg = uas_msg(a->u);
	const struct settings *set = uas_agent(a->u)->set;
	char said[AOR_BUF], meant[AOR_BUF];
	struct uri uri;

	if (!pl_casecmp(&a->digest.uri, &msg->ruri))
		return true;
	if (!settings_to_aor(set, said, &a->digest.uri) &&
	    !settings_to_aor(set, meant, &msg->ruri))
		return aor_same(said, meant);

	return !uri_decode(&uri, &a->digest.uri) && !pl_isset(&uri.user) &&
	       settings_is_ours(set, &uri);
}

static bool has_good_nonce(struct auth *a)
{
	const struct agent *ag = uas_agent(a->u);
	enum digest_alg alg;

	switch (nonce_check(ag->nonces, &a->digest.nonce,
			    source_key(&uas_msg(a->u)->src.u.sa), &alg,
			    tmr_jiffies())) {
	case NONCE_GOOD:
		return alg == a->digest.alg;

	case NONCE_STALE:
		a->stale = true;
		return false;

	default:
		return false;
	}
}

/* Credentials for a nonce that is no more: a phone does that once, and then has
   a new one.  For one that no agent has made: an attack */
static void charge_nonce(const struct auth *a)
{
	const struct agent *ag = uas_agent(a->u);
	const struct sa *src = &uas_msg(a->u)->src;
	const enum budget_proof proof = budget_proof_of(uas_msg(a->u));

	if (!hdr_get(uas_msg(a->u), HDR_AUTHORIZATION))
		return;
	if (!a->stale ||
	    !budget_unproven(ag->budget, proof, src, tmr_jiffies()))
		budget_bad(ag->budget, proof, src, tmr_jiffies());
}

static int from_aor(struct auth *a)
{
	const struct sip_msg *msg = uas_msg(a->u);
	const struct settings *set = uas_agent(a->u)->set;
	struct nameaddr na;
	struct pl realm;
	struct uri uri;
	int err;

	err = nameaddr_decode(&na, hdr_get(msg, HDR_FROM));
	if (err)
		return err;

	/* a SIP URI may be sound, and yet name nobody who can have an account
	 */
	err = settings_to_aor(set, a->id.aor, &na.uri);
	if (err) {
		if (!sanity_field_is_sip(&na.uri) || uri_decode(&uri, &na.uri))
			return err;
		return settings_is_ours(set, &uri) ? EDOM : ENOENT;
	}

	a->realm = aor_domain(a->id.aor);
	pl_set_str(&realm, a->realm);

	return settings_hosts(set, &realm) ? 0 : ENOENT;
}

static int auth_alloc(struct auth **ap, struct uas *u)
{
	struct auth *a = mem_zalloc(sizeof(*a), auth_destructor);

	if (!a)
		return ENOMEM;
	a->u = mem_ref(u);
	*ap = a;

	return 0;
}

/** As auth_request, of a request that is being served already */
void auth_identify(struct uas *u, auth_h *h)
{
	struct search s;
	struct auth *a;

	if (auth_alloc(&a, u)) {
		uas_refuse(u, 503);
		return;
	}

	a->h = h;
	switch (from_aor(a)) {
	case 0:
		break;

	case ENOENT:
		uas_reply(u, 403, "From Another Domain", NULL);
		mem_deref(a);
		return;

	case EDOM:
		uas_reply(u, 403, "Not A User Here", NULL);
		mem_deref(a);
		return;

	default:
		uas_reply(u, 400, "Bad From", NULL);
		mem_deref(a);
		return;
	}

	s = (struct search){.digest = &a->digest, .realm = a->realm};
	(void)hdr_each(uas_msg(u), HDR_AUTHORIZATION, realm_handler, &s);
	if (s.found && is_our_uri(a) && has_good_nonce(a)) {
		source_text(a->source, &uas_msg(a->u)->src.u.sa);
		credential_check(a);
	} else {
		charge_nonce(a);
		challenge_ask(a);
	}
}

/**
 * Find out who sent a request
 *
 * @param msg A request that dispatch has let through; answered here unless h
 *            is called
 * @param h   Called with the sender where the request is authentic
 */
void auth_request(struct agent *ag, const struct sip_msg *msg, auth_h *h)
{
	struct uas *u;

	if (!pgloop_is_ready(ag->pl) || uas_alloc(&u, ag, msg)) {
		uas_busy_stateless(ag, msg);
		return;
	}

	auth_identify(u, h);
	mem_deref(u);
}

/* Its credential is valid no more */
static void forget(struct auth *a)
{
	struct search s = {.digest = &a->digest, .realm = a->realm};

	(void)hdr_each(uas_msg(a->u), HDR_AUTHORIZATION, realm_handler, &s);
	if (!s.found)
		return;
	source_text(a->source, &uas_msg(a->u)->src.u.sa);
	credential_forget(a);
}

/**
 * Answer that the database refused what an authentic request asked for; a
 * credential that is valid no more is challenged again
 *
 * @param aor Who the request is from
 */
void auth_db_failed(struct uas *u, const char *aor, const struct pg_answer *ans)
{
	struct auth *a;

	if (ans->end != PG_REFUSED || ans->status != 401 || auth_alloc(&a, u)) {
		uas_db_failed(u, ans);
		return;
	}

	str_ncpy(a->id.aor, aor, sizeof(a->id.aor));
	a->realm = aor_domain(a->id.aor);
	forget(a);
	challenge_ask(a);
}
