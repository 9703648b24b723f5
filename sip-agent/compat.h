/*
 * Where libre's public API has changed after 1.1.0 (Debian 12), so that the
 * agent also builds with a current re.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <re.h>

/* re 3 counts its version in RE_VERSION; 1.1.0 has none */
#if defined(RE_VERSION) || defined(RE_ARG_H)
#define COMPAT_FD_HANDLE 1
#endif

/** A descriptor in the loop: newer re gives a handle for it */
struct fd_watch {
#ifdef COMPAT_FD_HANDLE
	struct re_fhs *fhs;
#endif
	int fd;
};

static inline void fd_watch_init(struct fd_watch *w)
{
#ifdef COMPAT_FD_HANDLE
	w->fhs = NULL;
#endif
	w->fd = -1;
}

static inline void fd_watch_stop(struct fd_watch *w)
{
	if (w->fd < 0)
		return;
#ifdef COMPAT_FD_HANDLE
	w->fhs = fd_close(w->fhs);
#else
	fd_close(w->fd);
#endif
	w->fd = -1;
}

static inline int fd_watch_start(struct fd_watch *w, int fd, int flags, fd_h *h,
				 void *arg)
{
	int err;

	if (w->fd >= 0 && w->fd != fd)
		fd_watch_stop(w);
#ifdef COMPAT_FD_HANDLE
	err = fd_listen(&w->fhs, fd, flags, h, arg);
#else
	err = fd_listen(fd, flags, h, arg);
#endif
	if (!err)
		w->fd = fd;

	return err;
}

/** Over a socket that is there: newer re can be told how to make a connection
 */
static inline int compat_sip_send(struct sip *sip, void *sock,
				  enum sip_transp tp, const struct sa *dst,
				  struct mbuf *mb)
{
#ifdef COMPAT_FD_HANDLE
	return sip_send(sip, sock, tp, dst, mb, NULL, NULL);
#else
	return sip_send(sip, sock, tp, dst, mb);
#endif
}

#endif
