/*
 * Tables of status codes (RFC 3261 section 21, RFC 3428, RFC 6665).
 */
#include "transaction/codes.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/pg/pg.h"

static const char *const reasons[700] = {
	[100] = "Trying",
	[180] = "Ringing",
	[181] = "Call Is Being Forwarded",
	[182] = "Queued",
	[183] = "Session Progress",
	[200] = "OK",
	[202] = "Accepted",
	[400] = "Bad Request",
	[401] = "Unauthorized",
	[403] = "Forbidden",
	[404] = "Not Found",
	[405] = "Method Not Allowed",
	[406] = "Not Acceptable",
	[408] = "Request Timeout",
	[410] = "Gone",
	[412] = "Conditional Request Failed",
	[413] = "Request Entity Too Large",
	[415] = "Unsupported Media Type",
	[416] = "Unsupported URI Scheme",
	[420] = "Bad Extension",
	[422] = "Unprocessable",
	[423] = "Interval Too Brief",
	[430] = "Flow Failed",
	[480] = "Temporarily Unavailable",
	[481] = "Call/Transaction Does Not Exist",
	[482] = "Loop Detected",
	[483] = "Too Many Hops",
	[484] = "Address Incomplete",
	[486] = "Busy Here",
	[487] = "Request Terminated",
	[488] = "Not Acceptable Here",
	[489] = "Bad Event",
	[491] = "Request Pending",
	[500] = "Server Internal Error",
	[501] = "Not Implemented",
	[503] = "Service Unavailable",
	[504] = "Server Time-out",
	[505] = "Version Not Supported",
	[600] = "Busy Everywhere",
	[603] = "Decline",
	[604] = "Does Not Exist Anywhere",
	[606] = "Not Acceptable",
	[607] = "Unwanted",
	[608] = "Rejected",
};

/* HTTP's status of a refusal (SQLSTATE RSnnn) to SIP's */
static const uint16_t of_refusal[600] = {
	[400] = 400,
	[401] = 401, /* whoever asked challenges again */
	[403] = 403,
	[404] = 404, /* RFC 3261 section 21.4.5 */
	[409] = 480, /* not reachable, too many: RFC 3261 section 21.4.18 */
	[412] = 412, /* RFC 3903 section 11.2.1 */
	[413] = 413, /* RFC 3261 section 21.4.11 */
	[415] = 415, /* RFC 3261 section 21.4.13 */
	[422] = 400, /* SIP's 422 is of session timers alone (RFC 4028) */
	[423] = 423, /* RFC 3261 section 21.4.17 */
	[429] = 480, /* with Retry-After; 503 is for our own trouble alone */
	[481] = 481, /* no such dialog: RFC 3261 section 12.2.2 */
	[488] = 488, /* no media in common: RFC 3261 section 21.4.26 */
	[500] = 500, /* CSeq out of order: RFC 3261 section 10.3 item 7 */
	[503] = 503,
	[507] = 480, /* the mailbox is full: RFC 3261 section 21.4.18 */
};

/** The usual phrase of a code */
const char *codes_reason(uint16_t scode)
{
	const char *reason = scode < 700 ? reasons[scode] : NULL;

	return reason ? reason : "Refused";
}

/** What to answer for a statement that did not go well */
uint16_t codes_of_answer(const struct pg_answer *ans)
{
	uint16_t scode = 0;

	switch (ans->end) {
	case PG_OK:
		return 200;

	case PG_AWAY:
		return 503;

	case PG_REFUSED:
		if (ans->status > 0 && ans->status < 600)
			scode = of_refusal[ans->status];
		return scode ? scode : 500;

	default:
		return 500;
	}
}

/** What to say in the place of the usual phrase, or NULL: where whoever reads
    it knows better then what to do */
const char *codes_reason_of(const struct pg_answer *ans)
{
	if (ans->end != PG_REFUSED)
		return NULL;
	if (!strcmp(ans->slug, "no-relay"))
		return "No Media Relay";

	return strcmp(ans->slug, "account-disabled") ? NULL
						     : "Account Disabled";
}

/** Whether an errno says that we lack memory or descriptors: later it may go,
    and it tells nothing of who is elsewhere */
bool codes_is_our_lack(int err)
{
	return err == ENOMEM || err == ENOBUFS || err == EMFILE ||
	       err == ENFILE;
}

/** What to answer where one of our own functions gave an error (errno) */
uint16_t codes_of_error(int err)
{
	switch (err) {
	case EBADMSG: /* what it says cannot be read */
	case EILSEQ:  /* text that is not UTF-8 */
		return 400;

	case EACCES:
		return 403;

	case E2BIG:
		return 413;

	default: /* no memory, no database, no place: our own trouble */
		return 503;
	}
}
