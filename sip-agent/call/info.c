/*
 * To a phone of this agent it goes at once. Else the database knows who is at
 * the other end, and what it says comes by orders (sql/functions/53_info.sql).
 */
#include "call/info.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/request.h"
#include "call/tell/say.h"
#include "call/tell/told.h"
#include "parse/dtmf.h"
#include "parse/hdr.h"
#include "parse/uri.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"
#include "transaction/body.h"
#include "transaction/uas.h"

enum {
	INFOS_MAX = 2,	 /* of a leg at once */
	INFO_MAX = 4096, /* bytes of one that the database hands on */
	SAID_MAX = 100,	 /* of a leg in SAID_MS: each is a commit */
	SAID_MS = 10 * 1000,
	FAR_MS = 25 * 1000, /* its phone waits for 32 s (timer F) */
	COUNT_MAX = 10000,  /* of all legs */
};

struct info {
	struct le le;
	int *count;	  /* of its leg's, which it is one of */
	struct leg *from; /* who says it; NULL: another agent's leg */
	struct uas *u;	  /* its request */
	struct leg *to;	  /* who is told; NULL: another agent's */
	struct uac *uac;
	struct leg_request req;
	int64_t number; /* where the two are at two agents */
	struct tmr tmr;
};

static const struct pg_stmt stmt_info = {
	.name = "leg_info",
	.sql = "select * from api.leg_info($1, $2, $3, $4, $5, $6, $7)",
	.nparams = 7,
	.write = true,
};
static const struct pg_stmt stmt_informed = {
	.name = "leg_informed",
	.sql = "select * from api.leg_informed($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};

static void destructor(void *arg)
{
	struct info *i = arg;

	list_unlink(&i->le);
	tmr_cancel(&i->tmr);
	if (i->count)
		--*i->count;
	mem_deref(i->uac);
	leg_request_free(&i->req);
	mem_deref(i->u);
	mem_deref(i->from);
	mem_deref(i->to);
}

/* One of the two legs may be missing */
static int info_alloc(struct info **ip, struct leg *from, struct uas *u,
		      struct leg *to)
{
	struct leg *mine = from ? from : to;
	struct info *i;

	if (mine->infos >= INFOS_MAX)
		return EAGAIN;
	if (list_count(&mine->legs->infos) >= COUNT_MAX)
		return ENOSPC;
	i = mem_zalloc(sizeof(*i), destructor);
	if (!i)
		return ENOMEM;
	i->count = &mine->infos;
	++*i->count;
	i->from = mem_ref(from);
	i->u = mem_ref(u);
	i->to = mem_ref(to);
	list_append(&mine->legs->infos, &i->le, i);
	*ip = i;

	return 0;
}

/**
 * What a phone has said to it, or to keys
 *
 * @param leg Its leg
 */
void info_tell(struct legs *ls, int64_t leg, int64_t number, int code)
{
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ls->ag->pl)),
		pg_int(leg),
		pg_int(number),
		pg_int(code),
	};

	say_until_heard(ls, (uint64_t)leg, &stmt_informed, valv);
}

/* --- what is said ------------------------------------------------------------
 */

/* Its texts, owned */
struct said {
	char *type, *package, *body;
	char key[2]; /* that was pressed; empty: none */
};

static void said_free(struct said *s)
{
	mem_deref(s->type);
	mem_deref(s->package);
	mem_deref(s->body);
}

static const struct pl *read_package(const struct sip_msg *msg)
{
	for (struct le *le = list_head(&msg->hdrl); le; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (!pl_strcasecmp(&hdr->name, "Info-Package"))
			return &hdr->val;
	}

	return NULL;
}

/* What the body is, and of which package (RFC 6086 section 4.2.2) */
static int said_read(struct said *s, const struct sip_msg *msg,
		     const struct pl *body)
{
	const struct pl *pkg = read_package(msg);
	const struct pl *type = hdr_get(msg, HDR_CONTENT_TYPE);
	int err = 0;

	if (type && body->l)
		err = hdr_unfold(&s->type, type);
	if (!err && pkg)
		err = hdr_unfold(&s->package, pkg);
	if (!err && type && body->l && !memchr(body->p, '\0', body->l))
		err = pl_strdup(&s->body, body);
	if (!err && type && dtmf_read(s->key, type, body))
		s->key[0] = '\0';

	return err;
}

static bool is_line(const char *s)
{
	struct pl pl;

	pl_set_str(&pl, s ? s : "");

	return !s || uri_is_line(&pl);
}

/** Write it; as request_write */
int info_write(struct leg_request *r, struct leg *l, const struct info_text *t,
	       const struct pl *body)
{
	char *hdrs = NULL;
	int err;

	if (!is_line(t->type) || !is_line(t->package))
		return EINVAL;
	err = re_sdprintf(
		&hdrs, "%s%s%s%s%s%s", t->package ? "Info-Package: " : "",
		t->package ? t->package : "", t->package ? "\r\n" : "",
		t->type ? "Content-Type: " : "", t->type ? t->type : "",
		t->type ? "\r\n" : "");
	if (!err)
		err = request_write(r, l, "INFO", hdrs, body);
	mem_deref(hdrs);

	return err;
}

static int send_on(struct info *i, const struct info_text *t,
		   const struct pl *body, uac_end_h *h)
{
	int err = info_write(&i->req, i->to, t, body);

	if (!err)
		err = uac_alloc(&i->uac, i->to->legs->ag, &i->req.out, h, i);
	if (!err)
		uac_start(i->uac);

	return err;
}

/* What says something of a dialog says it of that of the other side */
static uint16_t code_of(const struct sip_msg *msg, int code)
{
	return msg && (code < 300 || code == 415 || code == 469 || code == 488)
		       ? (uint16_t)code
		       : 480;
}

/** Whether the phone that says this takes INFO, as JSON has it; NULL: it does
    not say */
const char *info_allowed(const struct sip_msg *msg)
{
	if (!hdr_count(msg, HDR_ALLOW))
		return NULL;

	return hdr_has_token(msg, HDR_ALLOW, "INFO") ? "true" : "false";
}

/* --- from a phone ------------------------------------------------------------
 */

static void on_passed(int code, const char *reason, const struct sip_msg *msg,
		      void *arg)
{
	struct info *i = arg;
	struct leg *to = mem_ref(i->to);

	(void)reason;
	uas_refuse(i->u, code_of(msg, code));
	mem_deref(i);
	if (code == 481)
		bye_lost(to);
	mem_deref(to);
}

static void too_late(void *arg)
{
	struct info *i = arg;

	uas_refuse(i->u, 480);
	mem_deref(i);
}

struct asked {
	struct legs *legs;
	int64_t number;
};

static void on_asked(const struct pg_answer *ans, void *arg)
{
	struct asked *a = arg;

	told_answer(a->legs->told, ans);
	if (ans->end != PG_OK)
		info_answer(a->legs, a->number, 480);
	mem_deref(a);
}

/* The database knows who is at the other end */
static int ask(struct info *i, const struct said *s)
{
	struct legs *ls = i->from->legs;
	struct asked *a = mem_zalloc(sizeof(*a), NULL);
	int err;

	if (!a)
		return ENOMEM;
	/* above all that are rows */
	i->number = a->number = (int64_t)(rand_u64() >> 1 | 1ULL << 62);
	a->legs = ls;
	{
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(ls->ag->pl)),
			pg_int(i->from->id),
			pg_int(i->number),
			s->type ? pg_text(s->type) : pg_null(),
			s->package ? pg_text(s->package) : pg_null(),
			s->body ? pg_text(s->body) : pg_null(),
			s->key[0] ? pg_text(s->key) : pg_null(),
		};

		err = pgloop_query_in(ls->ag->pl, PG_ALONE,
				      (uint64_t)i->from->call, &stmt_info, valv,
				      on_asked, a);
	}
	if (err)
		mem_deref(a);
	else
		tmr_start(&i->tmr, FAR_MS, too_late, i);

	return err;
}

/* Count one that the database is told; false: there were too many lately */
static bool may_say(struct leg *l)
{
	const uint64_t now = tmr_jiffies();

	if (now >= l->said_ms + SAID_MS) {
		l->said_ms = now;
		l->said = 0;
	}

	return l->said++ < SAID_MAX;
}

static bool is_text(const char *s)
{
	return !s || pg_is_text(s, strlen(s));
}

static int pass(struct leg *l, struct uas *u, const struct said *s,
		const struct pl *body)
{
	struct leg *peer = leg_find(l->legs, l->peer);
	const struct info_text text = {s->type, s->package, NULL};
	static const struct pl none = PL_INIT;
	struct info *i = NULL;
	int err;

	if (!peer &&
	    (body->l > INFO_MAX || (s->type && !s->body) || !is_text(s->type) ||
	     !is_text(s->package) || !is_text(s->body)))
		return EBADMSG;
	if (!peer && !may_say(l))
		return EAGAIN;
	err = info_alloc(&i, l, u, peer);
	if (err)
		return err;
	uas_set_waiting(u);
	err = peer ? send_on(i, &text, s->type ? body : &none, on_passed)
		   : ask(i, s);
	if (err)
		mem_deref(i);

	return err;
}

/**
 * Hand on what a phone says
 *
 * @param u Its request, answered here
 */
void info_pass(struct leg *l, struct uas *u)
{
	struct said s = {.type = NULL};
	struct leg *peer = leg_find(l->legs, l->peer);
	struct body body;
	int err;

	if (l->state < LEG_ANSWERED || (peer && peer->state != LEG_UP)) {
		uas_refuse(u, 480);
		return;
	}
	err = body_open(&body, uas_msg(u));
	if (err) {
		body_refuse(u, err);
		body_close(&body);
		return;
	}
	err = said_read(&s, uas_msg(u), &body.data);
	if (!err)
		err = pass(l, u, &s, &body.data);
	if (err == EBADMSG)
		uas_refuse(u, 415);
	else if (err == EAGAIN)
		uas_refuse(u, 480);
	else if (err)
		uas_fail(u, err);
	said_free(&s);
	body_close(&body);
}

static bool number_handler(struct le *le, void *arg)
{
	const struct info *i = le->data;

	return i->u && !i->to && i->number == *(const int64_t *)arg;
}

/** What the other side has said to it */
void info_answer(struct legs *ls, int64_t number, int code)
{
	struct info *i = list_ledata(
		list_apply(&ls->infos, true, number_handler, &number));

	if (!i)
		return;
	uas_refuse(i->u, (uint16_t)code);
	mem_deref(i);
}

/* --- to a phone --------------------------------------------------------------
 */

static void on_sent(int code, const char *reason, const struct sip_msg *msg,
		    void *arg)
{
	struct info *i = arg;
	struct leg *to = mem_ref(i->to);

	(void)reason;
	info_tell(to->legs, to->id, i->number, code_of(msg, code));
	mem_deref(i);
	if (code == 481)
		bye_lost(to);
	mem_deref(to);
}

/** Tell a phone what that of another agent says, under its number there */
void info_send(struct leg *l, int64_t number, const struct info_text *text)
{
	struct info *i = NULL;
	struct pl body;
	int err;

	pl_set_str(&body, text->body ? text->body : "");
	err = l->state == LEG_UP ? info_alloc(&i, NULL, NULL, l) : ENOTCONN;
	if (!err) {
		i->number = number;
		err = send_on(i, text, &body, on_sent);
	}
	if (err) {
		mem_deref(i);
		info_lost(l->legs, l->id, number);
	}
}

/** It cannot be told: its leg is not here, or not reached */
void info_lost(struct legs *ls, int64_t leg, int64_t number)
{
	info_tell(ls, leg, number, 480);
}

/** The dialog of a leg is over, or about to be: what its phone has said in it
   has no answer any more (RFC 3261 section 15.1.2), nor what it was told */
void info_over(struct leg *l)
{
	struct le *le = list_head(&l->legs->infos);

	while (le) {
		struct info *i = le->data;

		le = le->next;
		if (i->from == l)
			uas_refuse(i->u, 487);
		else if (i->to == l && !i->from)
			info_tell(l->legs, l->id, i->number, 487);
		else
			continue; /* of who is hung up next */
		mem_deref(i);
	}
}

/** The connection of a leg has closed: what waits for an answer over it */
void info_flow_lost(struct leg *l)
{
	struct le *le = list_head(&l->legs->infos);

	while (le) {
		struct info *i = le->data;

		le = le->next; /* its end frees it, and no other */
		if (i->to == l && i->uac)
			uac_flow_failed(i->uac);
	}
}
