#include "call/order/order.h"

#include <string.h>

static void late_destructor(void *arg)
{
	struct late *late = arg;

	list_unlink(&late->le);
	for (size_t i = 0; i < ARRAY_SIZE(late->texts); i++)
		mem_deref(late->texts[i]);
}

static int copy(char **to, const char **text)
{
	const int err = *text ? str_dup(to, *text) : 0;

	*text = *to;

	return err;
}

/**
 * One that waits, for its leg or for its turn
 *
 * @return A copy, owned by the caller; NULL without memory: it is ordered again
 *         (app.expire_legs)
 */
struct late *order_keep(const struct order *o)
{
	struct late *late = mem_zalloc(sizeof(*late), late_destructor);

	if (!late)
		return NULL;
	late->o = *o;
	late->o.l = NULL;
	late->o.ans = NULL;
	if (copy(&late->texts[0], &late->o.kind) ||
	    copy(&late->texts[1], &late->o.reason) ||
	    copy(&late->texts[2], &late->o.cause) ||
	    copy(&late->texts[3], &late->o.sdp))
		return mem_deref(late);

	return late;
}

/** Whether it is of that kind */
bool order_is(const struct order *o, const char *kind)
{
	return !strcmp(o->kind, kind);
}
