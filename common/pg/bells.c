/*
 * Joins array literals into one, '{a,b}' and '{c}' to '{a,b,c}'.
 */
#include "common/pg/bells.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"

struct pg_bells {
	const struct pg_loop *loop;
	struct pg_room timer;
	bool soon; /* the timer runs */
	pg_ring_h *ring;
	void *arg;
	struct buf text; /* without its last brace */
	uint64_t rung_ms;
};

const struct pg_stmt pg_stmt_ring = {
	.name = "ring",
	.sql = "select api.ring($1::text[])",
	.nparams = 1,
	.write = true,
};

int pg_bells_new(struct pg_bells **out, const struct pg_loop *loop,
		 pg_ring_h *ring, void *arg)
{
	struct pg_bells *b = calloc(1, sizeof(*b));

	if (!b)
		return ENOMEM;
	b->loop = loop;
	b->ring = ring;
	b->arg = arg;
	buf_init(&b->text, PG_BELLS_MAX);
	*out = b;
	return 0;
}

void pg_bells_free(struct pg_bells *b)
{
	if (!b)
		return;
	b->loop->cancel(b->loop->loop, &b->timer);
	buf_free(&b->text);
	free(b);
}

static void ring(void *arg)
{
	struct pg_bells *b = arg;
	struct buf text = b->text; /* more may come while it is rung */

	b->loop->cancel(b->loop->loop, &b->timer);
	b->soon = false;
	b->rung_ms = clock_ms();
	buf_init(&b->text, PG_BELLS_MAX);
	buf_char(&text, '}');
	if (!text.failed)
		b->ring(text.p, b->arg);
	buf_free(&text);
}

void pg_bells_add(struct pg_bells *b, const char *array)
{
	size_t n = array ? strlen(array) : 0;
	uint64_t since;

	if (n < 3 || array[0] != '{' || array[n - 1] != '}')
		return;
	if (b->text.len && b->text.len + n + 2 > PG_BELLS_MAX)
		ring(b);
	buf_char(&b->text, b->text.len ? ',' : '{');
	buf_add(&b->text, array + 1, n - 2);
	if (b->soon)
		return;
	since = clock_ms() - b->rung_ms;
	b->soon = since < PG_BELLS_MS;
	if (b->soon)
		b->loop->after(b->loop->loop, &b->timer, PG_BELLS_MS - since,
			       ring, b);
	else
		ring(b);
}

void pg_bells_collect(struct pg_bells *b, const PGresult *res)
{
	int column = PQfnumber(res, "bell");
	const char *last = "";

	if (column < 0)
		return;
	for (int row = 0; row < PQntuples(res); row++) {
		const char *array = PQgetvalue(res, row, column);

		/* Usually each row has the same. */
		if (!PQgetisnull(res, row, column) && strcmp(array, last) != 0)
			pg_bells_add(b, array);
		last = array;
	}
}
