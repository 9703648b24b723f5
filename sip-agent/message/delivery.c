/*
 * One delivery: read from its row, written as a MESSAGE.
 */
#include "message/delivery.h"

#include <errno.h>
#include <string.h>

#include "message/message_encode.h"
#include "pg/pgloop.h"

enum {
	BODY_MAX = 65536,
};

static const char *needed(int *err, const struct pg_answer *ans, int row,
			  const char *column)
{
	const char *text = pgres_text(ans->res, row, column);

	if (!text)
		*err = EBADMSG;

	return text;
}

/* @param m All but the body */
static int read_parts(struct message_parts *m, const struct delivery *d,
		      const struct pg_answer *ans, int row)
{
	int err = 0;

	*m = (struct message_parts){
		.delivery = d->job.id,
		.call_id = needed(&err, ans, row, "call_id"),
		.contact = needed(&err, ans, row, "contact"),
		.path = d->job.req.route,
		.sender = needed(&err, ans, row, "sender"),
		.recipient = needed(&err, ans, row, "recipient"),
		.content_type = needed(&err, ans, row, "content_type"),
		.sent_at = needed(&err, ans, row, "sent_at"),
		.request_id = d->job.req.request_id,
	};

	return err;
}

static int encode(struct delivery *d, struct message_parts *m,
		  const struct pg_answer *ans, int row)
{
	unsigned char *body;
	int err;

	body = pgres_bytes(ans->res, row, "body", &m->body_len);
	if (!body)
		return ENOMEM;

	m->body = body;
	err = m->body_len > BODY_MAX ? EMSGSIZE
				     : message_encode(&d->job.req.mb, m);
	if (!err)
		d->job.req.body_len = m->body_len;
	PQfreemem(body);

	return err;
}

static bool is_of_rest(const struct pg_answer *ans, int row)
{
	const char *source = pgres_text(ans->res, row, "source");

	return !source || !strcmp(source, "rest");
}

/**
 * Fill in a delivery from a row of api.delivery_claim
 *
 * @param d job.id is set
 *
 * @return 0, EINVAL where something would break a header, or another errno
 */
int delivery_read(struct delivery *d, const struct pg_answer *ans, int row)
{
	struct uac_request *req = &d->job.req;
	struct message_parts m;
	int err;

	d->send = pgres_int(ans->res, row, "send");
	d->attempt = (int)pgres_int(ans->res, row, "attempt");
	req->method = "MESSAGE";
	req->tls = pgres_bool(ans->res, row, "secure");
	req->dials = pgres_bool(ans->res, row, "dials");
	req->rest = is_of_rest(ans, row);
	req->sort_key = (uint64_t)d->job.id;
	req->account = pgres_int(ans->res, row, "sender_account");

	d->job.whose = pgloop_whose(pgres_text(ans->res, row, "recipient"));

	err = job_take(&req->route, ans, row, "path");
	if (!err)
		err = job_take(&req->flow, ans, row, "flow");
	if (!err)
		err = job_take(&req->request_id, ans, row, "request_id");
	if (!err)
		err = read_parts(&m, d, ans, row);
	if (!err)
		err = job_set_target(&d->job, m.contact);
	if (!err)
		err = encode(d, &m, ans, row);

	return err;
}
