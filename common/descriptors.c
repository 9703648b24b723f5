#include "common/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"

/**
 * Lets the process have as many as it may: the soft limit becomes the hard one.
 *
 * @return  How many that is
 */
size_t descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit)) {
		log_warn("descriptors", LOG_STR("error", strerror(errno)));
		return DESCRIPTORS_MAX;
	}
	if (limit.rlim_cur < limit.rlim_max) {
		const rlim_t before = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit)) {
			log_warn("descriptors",
				 LOG_STR("error", strerror(errno)));
			limit.rlim_cur = before;
		}
	}

	return limit.rlim_cur < DESCRIPTORS_MAX ? (size_t)limit.rlim_cur
						: DESCRIPTORS_MAX;
}

/**
 * Warns where a process may have fewer than it is set to use.
 *
 * @param limit   Of descriptors_raise()
 * @param what    The setting or bound that asks for them
 * @param wanted  With all that the process needs besides
 * @return  Whether they are enough
 */
bool descriptors_check(size_t limit, const char *what, size_t wanted)
{
	if (limit >= wanted)
		return true;
	log_warn("descriptors_few", LOG_STR("for", what),
		 LOG_INT("wanted", wanted), LOG_INT("limit", limit),
		 LOG_STR("mend_with", "LimitNOFILE of the unit, or ulimit -n"));

	return false;
}

/** @return  0 or errno; *fd is -1 then */
int spare_open(int *fd)
{
	*fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return *fd < 0 ? errno : 0;
}

/** Whether accept(2) fails for want of a descriptor */
bool spare_is_needed(int err)
{
	return err == EMFILE || err == ENFILE;
}

/**
 * Accepts one connection in the place of the spare descriptor, which is to be
 * opened again when that is closed.
 *
 * @param spare  -1 afterwards; where it is -1 already, nothing is accepted
 * @return  As accept(2)
 */
int spare_accept(int *spare, int listener, struct sockaddr *sa, socklen_t *len)
{
	int fd, err;

	if (*spare < 0) {
		errno = EMFILE;
		return -1;
	}
	(void)close(*spare); /* nothing was written to it */
	*spare = -1;
	fd = accept4(listener, sa, len, SOCK_CLOEXEC);
	if (fd < 0) {
		err = errno;
		(void)spare_open(spare); /* else the next one waits */
		errno = err;
	}

	return fd;
}
