#include "gate/welcome.h"

#include "common/source.h"
#include "gate/budget.h"
#include "gate/nonce.h"
#include "gate/trust.h"
#include "parse/digest.h"
#include "parse/sanity.h"

enum {
	/* challenges being made for one source at once */
	STRANGERS_MAX = 512,
	STRANGERS_FIRST = 8, /* before anybody there has said who he is */
};

/* Whether a request is answered without the database: then it need not wait
   behind those that are not, nor be dropped for them */
static bool waits_for_nobody(const struct sanity *m)
{
	return !pl_strcmp(&m->method, "OPTIONS") ||
	       !pl_strcmp(&m->method, "CANCEL") || sanity_is_ack(m);
}

/* Whether a source has as many requests waiting for the database as strangers
   may have */
static bool is_in_the_way(const struct welcome *w, const struct sa *src,
			  uint64_t now)
{
	const uint32_t n = budget_count(w->budget, BUDGET_STRANGERS, src, now);

	return n >= STRANGERS_MAX ||
	       (n >= STRANGERS_FIRST && !budget_is_known(w->budget, src, now));
}

/* Whether a message brings a nonce that we have sent to its source: only a host
   that is really there can have it */
static bool has_our_nonce(const struct welcome *w, const struct sanity *m,
			  const struct sa *src)
{
	const uint64_t source = source_key(&src->u.sa);
	struct digest_auth digest;
	enum digest_alg alg;

	for (unsigned i = 0; m->has_credentials && i < m->linec; i++) {
		const struct sanity_line *line = &m->linev[i];

		if (!pl_strcasecmp(&line->name, "Authorization") &&
		    !digest_parse(&digest, &line->val) &&
		    nonce_check(w->nonces, &digest.nonce, source, &alg,
				tmr_jiffies()) == NONCE_GOOD)
			return true;
	}

	return false;
}

/* Who hangs up, or presses a key, is no stranger: many phones know no
   challenge within a call, and an ACK cannot have one */
static bool is_of_call(const struct welcome *w, const struct sanity *m,
		       const struct sa *src)
{
	return w->knownh && w->knownh(m, src, w->arg);
}

/* Whether a request is served within its source's budget */
static bool is_served(const struct welcome *w, const struct sanity *m,
		      const struct sa *src, bool is_stream)
{
	const uint64_t now = tmr_jiffies();

	if (!is_stream && !waits_for_nobody(m) && is_in_the_way(w, src, now))
		return false;
	if (m->has_credentials) /* charged later, if they prove wrong */
		return budget_has_unproven(w->budget, BUDGET_CLAIMED, src, now);

	return budget_unproven(
		w->budget, is_stream ? BUDGET_SHOWN : BUDGET_CLAIMED, src, now);
}

/**
 * Whether a sound message is served.  A request that does not say who sends it
 * may come only so often, and over UDP credentials say nothing unless they
 * answer what we have sent there.  Phones that have proved who they are have a
 * share that nobody else spends.
 */
bool welcome_request(const struct welcome *w, const struct sanity *m,
		     const struct sa *src, bool is_stream)
{
	if (m->kind != SANITY_REQUEST || (m->has_credentials && is_stream))
		return true;

	return is_of_call(w, m, src) || is_served(w, m, src, is_stream) ||
	       has_our_nonce(w, m, src) ||
	       trust_spend(w->trust, src, is_stream, tmr_jiffies());
}

/** Whether a source is listened to, as far as datagrams tell */
bool welcome_is_heard(const struct welcome *w, const struct sa *src)
{
	const uint64_t now = tmr_jiffies();

	return budget_may_speak(w->budget, BUDGET_CLAIMED, src, now) &&
	       budget_may_speak(w->budget, BUDGET_SHOWN, src, now);
}

/**
 * Whether a message comes through though its source is not listened to, because
 * somebody there floods, or somebody elsewhere forges it: it answers a
 * challenge of ours, is of a call, or comes from the very port of a phone.
 */
bool welcome_is_heard_anyway(const struct welcome *w, const struct sanity *m,
			     const struct sa *src)
{
	const uint64_t now = tmr_jiffies();

	if (m->kind == SANITY_JUNK)
		return false;

	return (budget_may_speak(w->budget, BUDGET_SHOWN, src, now) &&
		has_our_nonce(w, m, src)) ||
	       (m->kind == SANITY_REQUEST && is_of_call(w, m, src)) ||
	       trust_spend(w->trust, src, false, now);
}
