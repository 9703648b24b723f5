/*
 * The first record of a TLS connection is put together here, before OpenSSL
 * sees any of it: until then the connection costs next to nothing.
 */
#ifndef HELLO_H
#define HELLO_H

#include <re.h>

enum {
	HELLO_MAX = 8192, /* bytes of the record with its header */
};

struct hello;

int hello_alloc(struct hello **hp, struct tcp_conn *tc);

#endif
