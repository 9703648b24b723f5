/*
 * A wall clock that a test sets, for programs that it is preloaded into: what
 * they are told of the time of day is as many seconds ahead as stands in the
 * file $CLOCK_STEPS/PROGRAM, which they keep mapped, as an int64_t. A program
 * without such a file is told the truth. Monotonic time is nobody's to set.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead_s;

__attribute__((constructor)) static void map(void)
{
	const char *folder = getenv("CLOCK_STEPS");
	char path[4096];
	void *at;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder ? folder : "",
		       program_invocation_short_name);
	fd = folder ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*ahead_s), PROT_READ, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED)
		ahead_s = at;
	(void)close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	const int err = (int)syscall(SYS_clock_gettime, id, ts);

	if (!err && ahead_s &&
	    (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += *ahead_s;
	return err;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &ts))
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *at)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts))
		return -1;
	if (at)
		*at = ts.tv_sec;
	return ts.tv_sec;
}
