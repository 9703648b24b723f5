#include "message/fleeting.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "common/notice/composing.h"
#include "message/message_encode.h"
#include "parse/uri.h"
#include "pg/pgloop.h"
#include "transaction/uac.h"

struct fleeting {
	struct agent *ag;
	struct list hints;
};

/* One MESSAGE to one contact */
struct hint {
	struct le le; /* of fleeting; not linked: it is over */
	struct agent *ag;
	struct composing says;
	int64_t account; /* who writes */
	struct uac *uac;
	struct uac_request req;
	char *uri, *path, *flow;
};

static const struct pg_stmt stmt_way = {
	.name = "composing_way",
	.sql = "select * from api.composing_way($1, $2, $3)",
	.nparams = 3,
};

static void destructor(void *arg)
{
	struct fleeting *f = arg;

	list_flush(&f->hints);
}

/** Allocate; owned by the caller */
int fleeting_alloc(struct fleeting **fp, struct agent *ag)
{
	struct fleeting *f = mem_zalloc(sizeof(*f), destructor);

	if (!f)
		return ENOMEM;
	f->ag = ag;
	*fp = f;

	return 0;
}

static void hint_destructor(void *arg)
{
	struct hint *h = arg;

	list_unlink(&h->le);
	mem_deref(h->uac);
	mem_deref(h->req.mb);
	mem_deref(h->uri);
	mem_deref(h->path);
	mem_deref(h->flow);
}

static void over(struct hint *h)
{
	if (!h->le.list)
		return;
	list_unlink(&h->le);
	mem_deref(h);
}

/* Whatever the phone says to it */
static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	(void)code;
	(void)reason;
	(void)msg;
	over(arg);
}

static int take(char **sp, const struct pg_answer *ans, const char *column)
{
	const char *text = pgres_text(ans->res, 0, column);

	return text && *text ? str_dup(sp, text) : 0;
}

static int encode(struct hint *h, const struct pg_answer *ans)
{
	struct message_parts m = {
		.delivery = h->account,
		.call_id = pgres_text(ans->res, 0, "call_id"),
		.path = h->path,
		.sender = pgres_text(ans->res, 0, "sender"),
		.recipient = pgres_text(ans->res, 0, "recipient"),
		.content_type = COMPOSING_TYPE,
		.sent_at = pgres_text(ans->res, 0, "sent_at"),
	};
	struct buf body;
	int err;

	if (!m.call_id || !m.sender || !m.recipient || !m.sent_at)
		return EBADMSG;
	buf_init(&body, COMPOSING_XML_MAX);
	composing_write(&body, &h->says);
	m.body = (const uint8_t *)body.p;
	m.body_len = body.len;
	err = body.failed ? ENOMEM : message_encode(&h->req.mb, &m);
	h->req.body_len = body.len;
	buf_free(&body);

	return err;
}

static int start(struct hint *h, const struct pg_answer *ans)
{
	const char *contact = pgres_text(ans->res, 0, "contact");
	const char *source = pgres_text(ans->res, 0, "source");
	int err;

	if (!contact || !source)
		return EBADMSG;
	err = uri_of_contact(&h->uri, contact);
	if (!err)
		err = take(&h->path, ans, "path");
	if (!err)
		err = take(&h->flow, ans, "flow");
	if (!err)
		err = encode(h, ans);
	if (err)
		return err;
	h->req.method = "MESSAGE";
	h->req.uri = h->uri;
	h->req.route = h->path;
	h->req.flow = h->flow;
	h->req.dials = pgres_bool(ans->res, 0, "dials");
	h->req.rest = !strcmp(source, "rest");
	h->req.account = h->account;
	h->req.sort_key = (uint64_t)h->account;
	err = uac_alloc(&h->uac, h->ag, &h->req, on_end, h);
	if (!err)
		uac_start(h->uac);

	return err;
}

static void on_way(const struct pg_answer *ans, void *arg)
{
	struct hint *h = arg;

	if (h->le.list && (ans->end != PG_OK || start(h, ans)))
		over(h);
	mem_deref(h);
}

/* How many of one who writes are under way */
static unsigned count_of(const struct fleeting *f, int64_t account)
{
	const struct le *le;
	unsigned n = 0;

	for (le = list_head(&f->hints); le; le = le->next) {
		const struct hint *h = le->data;

		n += h->account == account;
	}

	return n;
}

static int64_t who_has_most(const struct fleeting *f)
{
	const struct le *le;
	int64_t account = 0;
	unsigned n, most = 0;

	for (le = list_head(&f->hints); le; le = le->next) {
		const struct hint *h = le->data;

		n = count_of(f, h->account);
		if (n > most) {
			most = n;
			account = h->account;
		}
	}

	return account;
}

static void drop_oldest(struct fleeting *f, int64_t account)
{
	struct le *le;

	for (le = list_head(&f->hints); le; le = le->next) {
		struct hint *h = le->data;

		if (h->account == account) {
			over(h);
			return;
		}
	}
}

/* The latest is the one that is true.  Phones that do not answer keep places
   for long: whose they are makes way, not whoever comes next */
static void make_room(struct fleeting *f, int64_t account)
{
	if (count_of(f, account) >= FLEETING_ACCOUNT_MAX)
		drop_oldest(f, account);
	else if (list_count(&f->hints) >= FLEETING_MAX)
		drop_oldest(f, who_has_most(f));
}

static int ask(struct hint *h, int64_t login)
{
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(h->ag->pl)),
		pg_int(login),
		pg_int(h->account),
	};

	return pgloop_query(h->ag->pl, &stmt_way, valv, on_way, mem_ref(h));
}

/** A bell: FLEETING_BELL, the contact, who writes, what, and for how long */
void fleeting_ring(struct fleeting *f, const char *payload)
{
	struct pl login, sender, state, refresh;
	struct hint *h;

	if (re_regex(payload, strlen(payload),
		     FLEETING_BELL "[0-9]+ [0-9]+ [a-z]+ [0-9]+", &login,
		     &sender, &state, &refresh))
		return;
	make_room(f, (int64_t)pl_u64(&sender));
	h = mem_zalloc(sizeof(*h), hint_destructor);
	if (!h)
		return;
	h->ag = f->ag;
	h->account = (int64_t)pl_u64(&sender);
	h->says.active = !pl_strcmp(&state, "active");
	h->says.refresh_s = (int)pl_u32(&refresh);
	list_append(&f->hints, &h->le, h);
	if (ask(h, (int64_t)pl_u64(&login))) {
		over(h);
		mem_deref(h);
	}
}
