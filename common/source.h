/*
 * A source: an IPv4 address, or the /64 of an IPv6 one. Whatever is counted
 * of a stranger is counted by it, for who has one address of IPv6 has them all.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <stdint.h>
#include <sys/socket.h>

enum {
	SOURCE_SIZE = 46, /* INET6_ADDRSTRLEN */
};

uint64_t source_key(const struct sockaddr *sa);
uint64_t source_mix(uint64_t key, uint64_t secret);
void source_text(char text[static SOURCE_SIZE], const struct sockaddr *sa);
void source_of_text(char text[static SOURCE_SIZE], const char *address);

#endif
