/*
 * What is told at info of the requests that come in.  Each second has a bound:
 * a flood of requests is not one of lines.  Strangers have a bound of their
 * own, so that they hide nothing of what accounts do.
 */
#include "transaction/journal.h"

#include <errno.h>

#include "logre.h"

enum {
	FROM_SIZE = 320,
	STRANGER = 0,
	PROVEN = 1,
	KINDS = 2,
};

struct journal {
	struct tmr tmr; /* runs while something has been told */
	unsigned told[KINDS], untold[KINDS];
};

static void destructor(void *arg)
{
	struct journal *j = arg;

	tmr_cancel(&j->tmr);
}

/** @param jp Set to the journal, owned by the caller; @return 0, ENOMEM */
int journal_alloc(struct journal **jp)
{
	struct journal *j = mem_zalloc(sizeof(*j), destructor);

	if (!j)
		return ENOMEM;
	tmr_init(&j->tmr);
	*jp = j;

	return 0;
}

/* A second is over: what found no place is told as a number */
static void next_second(void *arg)
{
	struct journal *j = arg;

	if (j->untold[PROVEN] || j->untold[STRANGER])
		log_info("requests_untold",
			 LOG_INT("accounts", j->untold[PROVEN]),
			 LOG_INT("strangers", j->untold[STRANGER]));
	for (size_t i = 0; i < KINDS; i++)
		j->told[i] = j->untold[i] = 0;
}

static bool has_place(struct journal *j, int kind)
{
	static const unsigned most[KINDS] = {
		[STRANGER] = JOURNAL_STRANGER, [PROVEN] = JOURNAL_PROVEN};

	if (!tmr_isrunning(&j->tmr))
		tmr_start(&j->tmr, JOURNAL_S * 1000, next_second, j);
	if (j->told[kind] >= most[kind]) {
		j->untold[kind]++;
		return false;
	}
	j->told[kind]++;

	return true;
}

/* Without credentials a 401 is only the question for them.  OPTIONS change
   nothing, and what a provisional answer says comes again */
static bool is_news(const struct sip_msg *msg, uint16_t scode)
{
	if (scode < 200)
		return false;
	if (scode == 401)
		return sip_msg_hdr(msg, SIP_HDR_AUTHORIZATION) != NULL;

	return scode >= 300 || pl_strcmp(&msg->met, "OPTIONS") != 0;
}

/**
 * Tell of a request that was answered
 *
 * @param proven Whether it was shown who sent it
 * @param why    The name of the refusal, or NULL
 * @param id     Ours, of the request; NULL where it has none
 */
void journal_tell(struct journal *j, const struct sip_msg *msg, bool proven,
		  uint16_t scode, const char *why, const char *id)
{
	char from[FROM_SIZE] = ""; /* without a URI's password */
	struct sip_addr addr;

	if (!is_news(msg, scode) || !has_place(j, proven ? PROVEN : STRANGER))
		return;

	/* whose parts are not decoded of most requests */
	if (!sip_addr_decode(&addr, &msg->from.val) &&
	    re_snprintf(from, sizeof(from), "%r@%r", &addr.uri.user,
			&addr.uri.host) < 0)
		from[0] = '\0';
	log_info("request", LOG_PL("method", &msg->met), LOG_INT("code", scode),
		 LOG_STR("why", why), LOG_STR("from", from),
		 LOG_SA("source", &msg->src), LOG_PL("call_id", &msg->callid),
		 LOG_STR("request_id", id));
}
