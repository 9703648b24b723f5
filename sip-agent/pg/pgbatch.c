/*
 * A statement of this kind has two parameters, the agent and a JSON array of
 * items, each an object numbered by its member i; its rows are in the order
 * of i.  Nobody waits for others to come: what is there goes as soon as a
 * statement is free to take it.
 */
#include "pg/pgbatch.h"

#include <errno.h>
#include <string.h>

enum {
	BYTES_MAX = 1 << 20, /* of a statement's items */
	NUMBER_SIZE = 16,
};

struct pgbatch {
	struct pgloop *pl;
	struct pgbatch_conf conf;
	struct list waiting; /* struct item */
	size_t count;
	unsigned under_way; /* statements */
	struct tmr tmr;
};

struct item {
	struct le le;
	struct pl json; /* owned; without its opening brace */
	uint64_t deadline_ms;
	pgbatch_h *h;
	void *arg;
};

/** Items that share a statement */
struct flight {
	struct pgbatch *b;
	struct list items;
};

static const struct pg_answer gone = {
	.end = PG_AWAY,
	.err = APP_UNAVAILABLE,
	.slug = "",
	.detail = "",
	.pointer = "",
	.sqlstate = "",
};

/* Tells an item that the batch did nothing for it: it may be asked alone */
static const struct pg_answer alone = {
	.end = PG_OK,
	.slug = "",
	.detail = "",
	.pointer = "",
	.sqlstate = "",
};

static void send_waiting(void *arg);

static void item_destructor(void *arg)
{
	struct item *it = arg;

	list_unlink(&it->le);
	mem_deref((void *)it->json.p);
}

static void answer(struct item *it, const struct pg_answer *ans, int row,
		   int rows)
{
	list_unlink(&it->le);
	it->h(ans, row, rows, it->arg);
	mem_deref(it);
}

static void answer_all(struct list *items, const struct pg_answer *ans)
{
	struct le *le;

	while ((le = list_head(items)))
		answer(le->data, ans, 0, 0);
}

static void flight_destructor(void *arg)
{
	struct flight *f = arg;

	answer_all(&f->items, &gone);
}

static void destructor(void *arg)
{
	struct pgbatch *b = arg;

	tmr_cancel(&b->tmr);
	answer_all(&b->waiting, &gone);
}

/* --- there and back ----------------------------------------------------- */

static void deal_out(struct flight *f, const struct pg_answer *ans)
{
	int i = 0, row = 0;
	struct le *le;

	while ((le = list_head(&f->items))) {
		const int first = row;

		while (row < pg_rows(ans) && pgres_int(ans->res, row, "i") == i)
			row++;
		answer(le->data, ans, first, row - first);
		i++;
	}
}

static void on_answer(const struct pg_answer *ans, void *arg)
{
	struct flight *f = arg;
	struct pgbatch *b = f->b;

	b->under_way--;
	if (ans->end == PG_OK)
		deal_out(f, ans);
	else if (ans->sqlstate[0] && ans->err != APP_TOO_SLOW)
		/* refused as a whole: nothing was done for any item */
		answer_all(&f->items, &alone);
	else
		answer_all(&f->items, ans);
	mem_deref(f);
	send_waiting(b);
	mem_deref(b);
}

/* Items that have waited too long are given up */
static void answer_late(struct pgbatch *b)
{
	const uint64_t now = tmr_jiffies();
	struct item *it;

	while ((it = list_ledata(list_head(&b->waiting))) &&
	       it->deadline_ms < now) {
		b->count--;
		answer(it, &gone, 0, 0);
	}
}

static void take_items(struct pgbatch *b, struct flight *f, struct buf *json)
{
	char number[NUMBER_SIZE];
	unsigned n = 0;
	struct item *it;

	buf_char(json, '[');
	while (n < b->conf.items && json->len < BYTES_MAX &&
	       (it = list_ledata(list_head(&b->waiting)))) {
		(void)re_snprintf(number, sizeof(number), "%s{\"i\":%u,",
				  n ? "," : "", n);
		buf_str(json, number);
		buf_add(json, it->json.p, it->json.l);
		list_unlink(&it->le);
		list_append(&f->items, &it->le, it);
		b->count--;
		n++;
	}
	buf_char(json, ']');
}

static void fly(struct pgbatch *b, struct flight *f)
{
	struct pl json;
	struct buf buf;
	int err;

	buf_init(&buf, 2 * BYTES_MAX);
	take_items(b, f, &buf);
	json = (struct pl){buf.p, buf.len};
	const struct pg_val valv[] = {pg_int(pgloop_agent(b->pl)),
				      pg_pl(&json)};

	err = buf.failed ? ENOMEM
			 : pgloop_query_in(b->pl, b->conf.line, 0, b->conf.stmt,
					   valv, on_answer, f);
	buf_free(&buf);
	if (err) {
		mem_deref(f);
		return;
	}
	mem_ref(b);
	b->under_way++;
}

static void send_waiting(void *arg)
{
	struct pgbatch *b = arg;

	mem_ref(b);
	answer_late(b);
	while (b->under_way < b->conf.at_once && !list_isempty(&b->waiting)) {
		struct flight *f = mem_zalloc(sizeof(*f), flight_destructor);

		if (!f) {
			answer_all(&b->waiting, &gone);
			b->count = 0;
			break;
		}
		f->b = b;
		fly(b, f);
	}
	mem_deref(b);
}

/**
 * Ask
 *
 * @param item The item's members as JSON, without the opening brace
 * @param h    Called exactly once if 0 is returned, never within this call
 *
 * @return 0; ENOBUFS where too much waits already; EILSEQ where a text is not
 *         UTF-8; ENOMEM
 */
int pgbatch_ask(struct pgbatch *b, const struct buf *item, pgbatch_h *h,
		void *arg)
{
	struct item *it;
	char *copy;

	if (item->failed)
		return ENOMEM;
	if (!pgloop_is_ready(b->pl))
		return ENOTCONN;
	if (b->count >= PGBATCH_WAITING_MAX || item->len > BYTES_MAX)
		return ENOBUFS;
	if (!pg_is_text(item->p, item->len))
		return EILSEQ;

	it = mem_zalloc(sizeof(*it), item_destructor);
	copy = mem_alloc(item->len, NULL);
	if (!it || !copy) {
		mem_deref(it);
		mem_deref(copy);
		return ENOMEM;
	}

	memcpy(copy, item->p, item->len);
	it->json = (struct pl){copy, item->len};
	it->deadline_ms = tmr_jiffies() + PG_DEADLINE_MS;
	it->h = h;
	it->arg = arg;
	list_append(&b->waiting, &it->le, it);
	b->count++;
	if (b->under_way < b->conf.at_once && !tmr_isrunning(&b->tmr))
		tmr_start(&b->tmr, 0, send_waiting, b);

	return 0;
}

/**
 * Allocate
 *
 * @param bp   Set to the object, owned by the caller
 * @param pl   Must outlive the object, or answer all when it goes
 * @param conf Copied
 */
int pgbatch_alloc(struct pgbatch **bp, struct pgloop *pl,
		  const struct pgbatch_conf *conf)
{
	struct pgbatch *b = mem_zalloc(sizeof(*b), destructor);

	if (!b)
		return ENOMEM;

	b->pl = pl;
	b->conf = *conf;
	*bp = b;

	return 0;
}
