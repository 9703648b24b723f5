/*
 * cors.h: which pages of other origins may call us (the Fetch standard).
 */
#ifndef RESTSIP_CORS_H
#define RESTSIP_CORS_H

#include <stdbool.h>

#include "shared/request.h"
#include "shared/response.h"

/**
 * Add the CORS headers that the request asks for.
 *
 * @param origins  allow-list, separated by spaces or commas; `*` is any
 * @param allow    methods of the resource, as in Allow, for a preflight; null
 *                 where it is no OPTIONS
 */
void cors_headers(struct response *res, const struct request *req,
		  const char *origins, const char *allow);

/** Whether origin is in the list, or the list has `*`. */
bool cors_allows(const char *origins, const char *origin);

/** Whether the list has that very origin, by its name. */
bool cors_names(const char *origins, const char *origin);

#endif
