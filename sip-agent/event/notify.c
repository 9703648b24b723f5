/*
 * Writes a NOTIFY.  The dialog is the database's, the CSeq too: it is committed
 * there before it is used here.
 */
#include "event/notify.h"

#include <errno.h>
#include <string.h>

#include "common/pgres.h"
#include "parse/hdr.h"
#include "parse/uri.h"
#include "pg/pgval.h"
#include "transaction/dialog.h"

enum {
	BODY_MAX = 1024 * 1024,
	RETRY_MAX_S = 86400,
};

/* --- what is sent ------------------------------------------------------- */

struct row {
	const struct pg_answer *ans;
	int row;
};

static const char *text(const struct row *r, const char *col)
{
	const char *s = pgres_text(r->ans->res, r->row, col);

	return s ? s : "";
}

/* None of these values may contain a line's end; dialog_write checks those of
   the dialog */
static bool is_sound(const struct row *r)
{
	static const char *const columns[] = {"event", "event_id", "ended",
					      "content_type"};

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		struct pl pl;

		pl_set_str(&pl, text(r, columns[i]));
		if (!uri_is_line(&pl))
			return false;
	}

	return true;
}

static int write_state(struct mbuf *mb, const struct row *r)
{
	const char *id = text(r, "event_id"), *ended = text(r, "ended");
	int err;

	err = mbuf_printf(mb, "Event: %s%s%s\r\n", text(r, "event"),
			  *id ? ";id=" : "", id);
	if (*ended)
		err |= mbuf_printf(mb,
				   "Subscription-State: terminated;"
				   "reason=%s\r\n",
				   ended);
	else
		err |= mbuf_printf(
			mb, "Subscription-State: active;expires=%lld\r\n",
			pgres_int(r->ans->res, r->row, "expires"));

	return err;
}

static int write_rest(struct mbuf *mb, const struct row *r, const char *body,
		      size_t len)
{
	int err;

	err = write_state(mb, r);
	err |= mbuf_write_str(mb, "User-Agent: restsip\r\n");
	if (len)
		err |= mbuf_printf(mb, "Content-Type: %s\r\n",
				   text(r, "content_type"));
	err |= mbuf_printf(mb, "Content-Length: %zu\r\n\r\n%s", len, body);

	return err ? ENOMEM : 0;
}

static int encode(struct uac_request *req, const struct dialog *d,
		  const struct row *r)
{
	const char *body = text(r, "body");
	const size_t len = strlen(body);
	int err;

	if (!is_sound(r))
		return EINVAL;
	if (len > BODY_MAX)
		return EMSGSIZE;

	req->mb = mbuf_alloc(1024 + len);
	if (!req->mb)
		return ENOMEM;

	req->body_len = len;
	err = dialog_write(req->mb, d, req->method, req->route);
	if (!err)
		err = write_rest(req->mb, r, body, len);

	return err;
}

/**
 * Fill in a NOTIFY from a row of api.notify_claim
 *
 * @param n job.id is set
 *
 * @return 0, EINVAL where something would break a header, or another errno
 */
int notify_read(struct notify *n, const struct pg_answer *ans, int row)
{
	struct uac_request *req = &n->job.req;
	const struct row r = {ans, row};
	struct dialog d;
	int err;

	dialog_of_row(&d, ans, row);
	n->cseq = d.local_cseq;
	n->retry_s = NOTIFY_NO_RETRY;
	req->method = "NOTIFY";
	req->sort_key = (uint64_t)n->job.id;
	req->account = pgres_int(ans->res, row, "account");

	err = job_set_dialog(&n->job, &d);
	if (!err)
		err = job_take(&req->flow, ans, row, "flow");
	if (!err)
		err = encode(req, &d, &r);

	return err;
}

/**
 * The NOTIFY has ended: find out when the phone wants the next one
 *
 * @param msg The answer, or NULL
 */
void notify_ended(struct notify *n, const struct sip_msg *msg)
{
	const struct pl *val = msg ? hdr_get(msg, HDR_RETRY_AFTER) : NULL;
	uint64_t s;

	if (val && !hdr_delay(&s, val, RETRY_MAX_S))
		n->retry_s = (int64_t)s;
}
