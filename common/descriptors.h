/*
 * Open files: how many a process may have, and one that is kept for when there
 * are no more, so that whoever connects then is answered and not left waiting.
 */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum {
	DESCRIPTORS_MAX = 1 << 20, /**< What is counted on at most */
};

size_t descriptors_raise(void);
bool descriptors_check(size_t limit, const char *what, size_t wanted);

int spare_open(int *fd);
bool spare_is_needed(int err);
int spare_accept(int *spare, int listener, struct sockaddr *sa, socklen_t *len);

#endif
