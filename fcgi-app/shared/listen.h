/*
 * listen.h: the socket that a setting names.
 */
#ifndef RESTSIP_LISTEN_H
#define RESTSIP_LISTEN_H

/**
 * Open a listening socket.
 *
 * @param where  `unix:/path` (one that nobody listens on any more is
 *               replaced) or `host:port`, `[v6]:port`
 * @return 0, EINVAL for another form, or errno
 */
int listen_open(int *out, const char *where, int backlog);

/** Make fd non-blocking, and closed in children. @return 0 or errno */
int listen_nonblock(int fd);

#endif
