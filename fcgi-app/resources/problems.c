/*
 * problems.c: /problems/{slug}: what the type of a problem (RFC 9457) leads
 * to.
 */
#include "common/json_write.h"
#include "resources/handlers.h"
#include "worker/exchange.h"

void problem_get(struct exchange *x)
{
	const char *title = problem_title(x->path.slug, 0);
	struct buf *b = &x->res.body;

	if (!*title) {
		exchange_problem(x, 404, NULL, NULL);
		return;
	}
	buf_char(b, '{');
	json_member(b, "type",
		    arena_fmt(x->arena, "/problems/%s", x->path.slug));
	json_member(b, "title", title);
	buf_char(b, '}');
	x->res.type = "application/json";
	exchange_answer(x);
}
