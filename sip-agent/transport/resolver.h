/*
 * The client of DNS, on a local address of its own.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include <re.h>

struct settings;

int resolver_alloc(struct dnsc **dnscp, const struct settings *set);

#endif
