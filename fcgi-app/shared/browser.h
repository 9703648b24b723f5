/*
 * browser.h: what a page may do with the credentials that its browser keeps
 * (Fetch Metadata; RFC 6454).
 */
#ifndef RESTSIP_BROWSER_H
#define RESTSIP_BROWSER_H

#include <stdbool.h>

#include "shared/request.h"

/**
 * Whether a page of another site made the browser send this request, which is
 * refused then: 403 `cross-site`. Only requests that act are looked at: methods
 * other than GET, HEAD and OPTIONS, and those that open a stream.
 *
 * @param origins  those whose pages may act, as of cors_headers(). `*` does
 *                 not let them use a password, which the browser may have
 *                 added by itself
 * @param opens    it would open a stream, or wait for a change
 */
bool browser_is_cross_site(const struct request *req, const char *origins,
			   bool opens);

/**
 * Whether a 401 may ask for a password: a browser then asks its user, and a
 * page's fetch() would wait for the answer.
 */
bool browser_may_ask(const struct request *req);

#endif
