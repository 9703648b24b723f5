/*
 * fcgi.h: FastCGI requests, by libfcgi in a readiness loop. Kept connections,
 * one request at a time on each, nothing waits for an idle one.
 */
#ifndef RESTSIP_FCGI_H
#define RESTSIP_FCGI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "shared/loop.h"

enum {
	FCGI_CONNS_MAX = 16384, /* open connections; more wait in the backlog.
				   Where there are no descriptors: 503 */
	FCGI_IO_TIMEOUT_S = 5, /* a peer that stops in the middle of a record */
};

struct fcgi_server;
struct fcgi_request;

/**
 * A request has arrived. It is the callee's until fcgi_finish() or
 * fcgi_detach(), of which it must call one, now or later.
 */
typedef void(fcgi_request_h)(struct fcgi_request *r, void *arg);
typedef void(fcgi_gone_h)(void *arg);

/** A connection that libfcgi let go of: the caller's to write and close. */
struct fcgi_stream {
	int fd;	     /* owned: close() it when done */
	uint16_t id; /* FastCGI request id for FCGI_STDOUT, FCGI_END_REQUEST */
};

/**
 * Listen and serve.
 *
 * @param where  `unix:/path` or `host:port`; sockets that were inherited
 *               (LISTEN_FDS) go before it, then it may be null
 * @return 0 or errno
 */
int fcgi_server_new(struct fcgi_server **out, struct loop *l, const char *where,
		    fcgi_request_h *h, void *arg);

/**
 * Accept nothing more and close connections that are idle. Requests under way
 * go on. idle is called, perhaps at once, when none is left.
 */
void fcgi_server_drain(struct fcgi_server *s, loop_h *idle, void *arg);

/**
 * Leave new connections to those who share the sockets, because we could only
 * refuse, and close each after its answer; what nobody takes within half a
 * second is taken all the same. hold false: no more of that.
 */
void fcgi_server_hold(struct fcgi_server *s, bool hold);

/** Close everything. */
void fcgi_server_free(struct fcgi_server *s);

/** Requests under way, detached ones not counted. */
size_t fcgi_server_busy(const struct fcgi_server *s);

/** A FastCGI parameter, or null. Borrowed until the request's end. */
const char *fcgi_param(const struct fcgi_request *r, const char *name);

/** All parameters as NAME=value, null at the end. Borrowed. */
char *const *fcgi_params(const struct fcgi_request *r);

/**
 * Read the whole body into b.
 *
 * @param max  bytes at most
 * @return 0, EMSGSIZE if it is longer than max (the rest is discarded),
 *         EPROTO if it ended early, ENOMEM
 */
int fcgi_read_body(struct fcgi_request *r, struct buf *b, size_t max);

/** Who is told that the peer has hung up, at most once, before the end. */
void fcgi_on_gone(struct fcgi_request *r, fcgi_gone_h *gone, void *arg);
bool fcgi_is_gone(const struct fcgi_request *r);

/** Write to FCGI_STDOUT. @return 0 or EPIPE */
int fcgi_write(struct fcgi_request *r, const void *p, size_t n);

/** End the request and give up r; its connection serves the next one. */
void fcgi_finish(struct fcgi_request *r);

/** Write a whole answer, 503, where there is no memory for a better one.
 *  @return 0 or EPIPE */
int fcgi_write_busy(struct fcgi_request *r);

/** The same, and finish. */
void fcgi_busy(struct fcgi_request *r);

/**
 * Write the response's head and take the connection out of libfcgi and of
 * the loop. r is given up, whatever is returned; so are its parameters.
 *
 * @param head  header lines and the empty line after them
 * @return 0 or EPIPE (then out is not written and the connection is closed)
 */
int fcgi_detach(struct fcgi_request *r, const void *head, size_t n,
		struct fcgi_stream *out);

#endif
