/*
 * Lists of networks: "127.0.0.0/8, ::1/128". An address without a length is
 * itself alone.
 */
#ifndef CIDR_H
#define CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cidr_list;
struct sockaddr;

int cidr_list_parse(struct cidr_list **list, const char *text);
void cidr_list_free(struct cidr_list *list);
bool cidr_list_empty(const struct cidr_list *list);
bool cidr_list_match(const struct cidr_list *list, const struct sockaddr *sa);

#endif
