/*
 * Lists of networks, as settings give them: `127.0.0.0/8, ::1/128`.
 */
#ifndef CIDR_H
#define CIDR_H

#include <stdbool.h>
#include <stddef.h>

struct sockaddr;
struct cidr_list;

enum {
	CIDR_LIST_MAX = 64,
};

/*
 * Networks by comma or space; an address alone is a network of one. An empty
 * text is an empty list. EINVAL, EMSGSIZE (too many), ENOMEM.
 */
int cidr_list_alloc(struct cidr_list **lp, const char *text);
void cidr_list_free(struct cidr_list *l);
bool cidr_list_is_empty(const struct cidr_list *l);

/* An IPv4 address within IPv6 (::ffff:0:0/96) is that IPv4 address. */
bool cidr_list_has(const struct cidr_list *l, const struct sockaddr *sa);
/* The same for text without brackets; false where it is no address. */
bool cidr_list_has_text(const struct cidr_list *l, const char *p, size_t len);

#endif
