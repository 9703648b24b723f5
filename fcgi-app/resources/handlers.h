/*
 * handlers.h: what routes.def's lines call in a worker. The file of the
 * resource defines it.
 */
#ifndef RESTSIP_HANDLERS_H
#define RESTSIP_HANDLERS_H

#include "worker/exchange.h"

#define ROUTE(verb, path, handler, who, content, query) route_h handler;
#include "shared/routes.def"

/** One for each of routes_table(), in its order. */
route_h *const *handlers_table(void);

#endif
