/*
 * A disk without room, for PostgreSQL, which it is preloaded into: while the
 * file $DISK_FULL is there, no file below a folder `base` grows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int would_grow(int fd, size_t n, off_t at)
{
	char link[64], path[4096];
	const char *full = getenv("DISK_FULL");
	struct stat st;
	ssize_t len;

	if (!full || access(full, F_OK) || fstat(fd, &st) ||
	    at + (off_t)n <= st.st_size)
		return 0;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return 0;
	path[len] = '\0';
	return strstr(path, "/base/") != NULL;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (!would_grow(fd, n, at))
		return syscall(SYS_pwrite64, fd, p, n, at);
	errno = ENOSPC;
	return -1;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}
