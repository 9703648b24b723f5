/*
 * One delivery: read from its row, written as a MESSAGE, sent.
 */
#include "message/delivery.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "common/log.h"
#include "message/message_encode.h"
#include "parse/uri.h"
#include "pg/pgloop.h"
#include "transaction/uac.h"

enum {
	BODY_MAX = 65536,
};

struct delivery {
	struct le le;
	struct agent *ag;
	delivery_end_h *h;
	void *arg;
	int64_t id, send;
	int attempt;
	bool tls;  /* it was sent to a sips: URI */
	bool rest; /* to a contact that REST made, or nobody knows who */
	bool answered, went_out;
	int64_t account;		 /* that sends */
	struct destination *destination; /* borrowed from the outbox */
	char *contact, *path, *flow, *sender, *recipient, *content_type;
	char *sent_at, *request_id;
	uint8_t *body;
	size_t body_len;
	struct uac *uac;
	struct mbuf *mb;
	char *uri;
};

static void destructor(void *arg)
{
	struct delivery *d = arg;

	list_unlink(&d->le);
	mem_deref(d->uac);
	mem_deref(d->mb);
	mem_deref(d->uri);
	mem_deref(d->contact);
	mem_deref(d->path);
	mem_deref(d->flow);
	mem_deref(d->sender);
	mem_deref(d->recipient);
	mem_deref(d->content_type);
	mem_deref(d->sent_at);
	mem_deref(d->request_id);
	mem_deref(d->body);
}

/* --- from the database -------------------------------------------------- */

static int take_str(char **sp, const struct pg_answer *ans, int row,
		    const char *col, bool needed)
{
	const char *s = pgres_text(ans->res, row, col);

	if (!s || (!*s && !needed))
		return needed ? EBADMSG : 0;

	return str_dup(sp, s);
}

static int take_strings(struct delivery *d, const struct pg_answer *ans,
			int row)
{
	const struct {
		char **sp;
		const char *col;
		bool needed;
	} columns[] = {
		{&d->contact, "contact", true},
		{&d->path, "path", false},
		{&d->flow, "flow", false},
		{&d->sender, "sender", true},
		{&d->recipient, "recipient", true},
		{&d->content_type, "content_type", true},
		{&d->sent_at, "sent_at", true},
		{&d->request_id, "request_id", false},
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns) && !err; i++)
		err = take_str(columns[i].sp, ans, row, columns[i].col,
			       columns[i].needed);

	return err;
}

static int take_body(struct delivery *d, const struct pg_answer *ans, int row)
{
	size_t len;
	unsigned char *bytes = pgres_bytes(ans->res, row, "body", &len);
	int err = 0;

	if (!bytes)
		return ENOMEM;

	if (len > BODY_MAX)
		err = EMSGSIZE;
	if (!err && len) {
		d->body = mem_alloc(len, NULL);
		if (d->body)
			memcpy(d->body, bytes, len);
		else
			err = ENOMEM;
	}
	d->body_len = len;
	PQfreemem(bytes);

	return err;
}

static bool is_of_rest(const struct pg_answer *ans, int row)
{
	const char *source = pgres_text(ans->res, row, "source");

	return !source || !strcmp(source, "rest");
}

/**
 * Allocate a delivery from a row of api.delivery_claim
 *
 * @param dp  Set to the delivery, owned by the caller
 * @param h   Called once, when it has ended, unless it is abandoned; may be
 *            called by delivery_start
 *
 * @return 0, or an errno where the row cannot be delivered
 */
int delivery_alloc(struct delivery **dp, struct agent *ag,
		   const struct pg_answer *ans, int row, delivery_end_h *h,
		   void *arg)
{
	struct delivery *d = mem_zalloc(sizeof(*d), destructor);
	int err;

	if (!d)
		return ENOMEM;

	d->ag = ag;
	d->h = h;
	d->arg = arg;
	d->id = pgres_int(ans->res, row, "delivery");
	d->send = pgres_int(ans->res, row, "send");
	d->attempt = (int)pgres_int(ans->res, row, "attempt");

	d->tls = pgres_bool(ans->res, row, "secure");

	d->rest = is_of_rest(ans, row);
	d->account = pgres_int(ans->res, row, "sender_account");

	err = take_strings(d, ans, row);
	if (!err)
		err = take_body(d, ans, row);

	if (err)
		mem_deref(d);
	else
		*dp = d;

	return err;
}

int64_t delivery_id(const struct delivery *d)
{
	return d->id;
}

int64_t delivery_send(const struct delivery *d)
{
	return d->send;
}

int delivery_attempt(const struct delivery *d)
{
	return d->attempt;
}

size_t delivery_body_len(const struct delivery *d)
{
	return d->body_len;
}

/** The flow that it goes over, NULL where it goes to the contact itself */
const char *delivery_flow(const struct delivery *d)
{
	return d->flow;
}

/** Whether it has ended by an answer of whoever is there */
bool delivery_answered(const struct delivery *d)
{
	return d->answered;
}

/** Whether its end says anything of who is there: not where it is our own */
bool delivery_went_out(const struct delivery *d)
{
	return d->went_out;
}

void delivery_set_destination(struct delivery *d, struct destination *dst)
{
	d->destination = dst;
}

struct destination *delivery_destination(const struct delivery *d)
{
	return d->destination;
}

struct le *delivery_le(struct delivery *d)
{
	return &d->le;
}

/* --- the end ------------------------------------------------------------ */

static void end(struct delivery *d, int code, const char *reason)
{
	delivery_end_h *h = d->h;

	d->h = NULL;
	d->uac = mem_deref(d->uac);
	if (!h)
		return;

	log_debug("delivery", LOG_INT("delivery", d->id),
		  LOG_INT("attempt", d->attempt), LOG_INT("send", d->send),
		  LOG_STR("request_id", d->request_id), LOG_INT("code", code));
	h(d, code, reason, d->arg);
}

static void on_uac_end(int code, const char *reason, const struct sip_msg *msg,
		       void *arg)
{
	struct delivery *d = arg;

	d->answered = msg;
	d->went_out = uac_went_out(d->uac);
	end(d, code, reason);
}

/* --- the way ------------------------------------------------------------ */

static int encode(struct delivery *d)
{
	const struct message_parts w = {
		.delivery = d->id,
		.contact = d->contact,
		.path = d->path,
		.sender = d->sender,
		.recipient = d->recipient,
		.content_type = d->content_type,
		.sent_at = d->sent_at,
		.request_id = d->request_id,
		.body = d->body,
		.body_len = d->body_len,
	};
	int err;

	err = uri_of_contact(&d->uri, d->contact);
	if (err)
		return err;

	return message_encode(&d->mb, &w);
}

static int start(struct delivery *d)
{
	const struct uac_request req = {
		.method = "MESSAGE",
		.uri = d->uri,
		.route = d->path,
		.flow = d->flow,
		.tls = d->tls,
		.rest = d->rest,
		.account = d->account,
		.mb = d->mb,
		.body_len = d->body_len,
		.sort_key = (uint64_t)d->id,
		.request_id = d->request_id,
	};
	int err;

	err = uac_alloc(&d->uac, d->ag, &req, on_uac_end, d);
	if (!err)
		uac_start(d->uac);

	return err;
}

/** Send it; its end is told by the handler, maybe within this call */
void delivery_start(struct delivery *d)
{
	int err;

	err = encode(d);
	if (!err)
		err = start(d);

	if (err == EINVAL || err == EBADMSG)
		end(d, 400, "Cannot be written as a header");
	else if (err)
		end(d, 0, "");
}

/** Forget a delivery whose transaction is under way; no handler is called */
void delivery_abandon(struct delivery *d)
{
	d->h = NULL;
	d->uac = mem_deref(d->uac);
}

/** The connection that it was sent over has closed */
void delivery_flow_failed(struct delivery *d)
{
	if (d->uac)
		uac_flow_failed(d->uac);
}
