/*
 * handlers.c: what the lines of routes.def do in a worker.
 */
#include "resources/handlers.h"

#define ROUTE(verb, path, handler, who, content, query) handler,

static route_h *const table[] = {
#include "shared/routes.def"
};

route_h *const *handlers_table(void)
{
	return table;
}
