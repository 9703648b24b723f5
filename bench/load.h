/*
 * load.h: what sipload and callload share: a clock, digest's hash, sockets,
 * and times that were measured.
 */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

/* RFC 3261, section 17.1.1.1 */
enum {
	T1_US = 500000,
	T2_US = 4000000,
	LIFE_US = 32000000, /* 64 * T1: timers B, F, H */
};

/** Monotonic */
int64_t load_now_us(void);

/** MD5 of a string */
void load_md5_hex(EVP_MD_CTX *md, char hex[static 33], const char *text);

/** @param name  with what stands before the value: `nonce="` */
bool load_read_param(char *out, size_t size, const char *p, const char *name);

/** @param text  HOST:PORT, written on @return whether it is that */
bool load_read_server(struct sockaddr_in *to, char *text);

/** A UDP socket at local, which is filled in; ends the program where it fails.
 *  @return its descriptor */
int load_open_socket(struct sockaddr_in *local,
		     const struct sockaddr_in *server);

struct load_times {
	double p50, p99, max; /* ms */
};

/** @param usv  samples, n of them; sorted by this */
struct load_times load_times(uint32_t *usv, size_t n);

#endif
