#include "worker/page.h"

#include <errno.h>
#include <inttypes.h>

#include "common/pgres.h"
#include "worker/body_form.h"
#include "worker/link.h"

static bool read_query(struct exchange *x, struct page *p, bool numbers)
{
	long long n = PAGE_LIMIT_DEFAULT;

	if (request_query_int(&x->req, "limit", 1, PAGE_LIMIT_MAX, &n) ==
	    EINVAL)
		return exchange_parameter(x, "limit",
					  "a number from 1 to 1000");
	p->limit = (int)n;
	if (!numbers) {
		p->after = request_query(&x->req, "after");
		return true;
	}
	n = 0;
	if (request_query_int(&x->req, "after", 0, INT64_MAX, &n) == EINVAL)
		return exchange_parameter(x, "after",
					  "a number, of the page before this");
	p->after_n = n;

	return true;
}

struct page *page_begin(struct exchange *x, const char *path, const char *key,
			bool numbers)
{
	struct page *p = arena_alloc(x->arena, sizeof(*p));

	if (!p || !path) {
		body_form_no_memory(x);
		return NULL;
	}
	p->path = path;
	p->key = key;
	p->also = NULL;
	x->state = p;

	return read_query(x, p, numbers) ? p : NULL;
}

static void add_link(struct exchange *x, const struct page *p, const char *key)
{
	struct buf query;

	buf_init(&query, RESPONSE_HEAD_MAX);
	if (p->also)
		buf_fmt(&query, "%s&", p->also);
	buf_fmt(&query, "limit=%d&after=", p->limit);
	uri_encode(&query, key);
	if (query.failed)
		x->res.failed = true;
	else
		response_next(&x->res, p->path, query.p);
	buf_free(&query);
}

/* The rows that are of the page: one more says that there is more. */
static int rows_that_fit(const struct pg_result *res, const struct page *p)
{
	const int rows = PQntuples(res);

	if (rows == 0 || pgres_null(res, 0, p->key))
		return 0;

	return pgres_bool(res, rows - 1, "fits") ? rows : rows - 1;
}

void page_answer(struct exchange *x, const struct pg_result *res)
{
	const struct page *p = x->state;
	const int n = rows_that_fit(res, p);
	struct buf *b = &x->res.body;

	if (n && n < PQntuples(res))
		add_link(x, p, pgres_text(res, n - 1, p->key));
	x->res.status = 200;
	x->res.type = "application/json";
	buf_char(b, '[');
	for (int i = 0; i < n; i++) {
		if (i)
			buf_char(b, ',');
		buf_str(b, pgres_text(res, i, "doc"));
	}
	buf_char(b, ']');
	exchange_answer(x);
}

void page_answer_version(struct exchange *x, const struct pg_result *res)
{
	const char *version = pgres_text(res, 0, "version");

	response_etag(&x->res, version);
	if (response_not_modified(&x->req, version)) {
		response_empty(&x->res, 304);
		exchange_answer(x);
		return;
	}
	page_answer(x, res);
}

void page_of_account(struct exchange *x, const char *name,
		     const struct pg_stmt *st)
{
	const char *path = link_to(x->arena, "/user/", x->path.email, name, -1);
	const struct page *p = page_begin(x, path, "n", true);
	struct pg_args args;

	if (!p)
		return;
	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	if (p->after_n)
		pg_arg_int(&args, p->after_n);
	else
		pg_arg_null(&args);
	pg_arg_int(&args, p->limit);
	exchange_query(x, st, &args, page_answer_version);
}
