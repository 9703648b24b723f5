/*
 * Joins PostgreSQL array literals into one, '{a,b}' and '{c}' to '{a,b,c}',
 * without looking into their items.
 */
#include "pg/bells.h"

#include <errno.h>
#include <string.h>

#include <re.h>

struct bells {
	char text[BELLS_SIZE];
	size_t len; /* of text, without its last brace; 0: nothing */
};

int bells_alloc(struct bells **bp)
{
	struct bells *b = mem_zalloc(sizeof(*b), NULL);

	if (!b)
		return ENOMEM;
	*bp = b;

	return 0;
}

/**
 * Add the items of a one-dimensional array literal
 *
 * @param array '{...}'; anything else and the empty array are ignored
 */
void bells_add(struct bells *b, const char *array)
{
	const size_t len = strlen(array);
	const size_t items = len < 3 ? 0 : len - 2;

	if (!items || array[0] != '{' || array[len - 1] != '}')
		return;
	if (b->len + items + 3 > sizeof(b->text))
		return;

	b->text[b->len] = b->len ? ',' : '{';
	memcpy(b->text + b->len + 1, array + 1, items);
	b->len += 1 + items;
	memcpy(b->text + b->len, "}", 2);
}

/** The array literal of all, NULL where there are none; borrowed */
const char *bells_text(const struct bells *b)
{
	return b->len ? b->text : NULL;
}

void bells_clear(struct bells *b)
{
	b->len = 0;
	b->text[0] = '\0';
}
