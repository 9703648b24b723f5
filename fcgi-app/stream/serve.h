/*
 * serve.h: the HTTP side of restsip-stream: from a request to a viewer, or to
 * an answer that says why not.
 */
#ifndef RESTSIP_STREAM_SERVE_H
#define RESTSIP_STREAM_SERVE_H

#include "shared/app.h"
#include "shared/fcgi.h"
#include "shared/loop.h"
#include "stream/bytes/stream_pool.h"
#include "stream/viewer/viewers.h"

struct serve {
	const struct app *app;
	struct viewers *viewers;
	struct stream_pool *pool;
	struct loop_timer trim;
};

/** No more is begun; requests under way go on. */
void serve_end(struct serve *s);

/** A request has arrived (fcgi_request_h; arg is the struct serve). */
void serve_request(struct fcgi_request *r, void *arg);

#endif
