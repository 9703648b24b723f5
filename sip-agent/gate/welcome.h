/*
 * Whether a source is listened to, and a request of its served: what it may get
 * wrong (budget), where phones have proved who they are (trust), and the nonces
 * that we have sent there.
 */
#ifndef WELCOME_H
#define WELCOME_H

#include <re.h>

struct budget;
struct nonce_pool;
struct sanity;
struct trust;

/** Whether a request is of a call, from where its phone is */
typedef bool(welcome_known_h)(const struct sanity *m, const struct sa *src,
			      void *arg);

/** All of them borrowed */
struct welcome {
	struct budget *budget;
	struct trust *trust;
	const struct nonce_pool *nonces;
	welcome_known_h *knownh; /**< NULL: none is */
	void *arg;
};

bool welcome_is_heard(const struct welcome *w, const struct sa *src);
bool welcome_is_heard_anyway(const struct welcome *w, const struct sanity *m,
			     const struct sa *src);
bool welcome_request(const struct welcome *w, const struct sanity *m,
		     const struct sa *src, bool is_stream);

#endif
