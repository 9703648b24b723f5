/*
 * The database is told when the certificate ends that is shown, for /metrics
 * and psql.
 */
#ifndef CERTIFICATE_TOLD_H
#define CERTIFICATE_TOLD_H

#include <re.h>

enum {
	CERTIFICATE_TOLD_MS = 1000, /* how often it is looked at */
};

struct certificate_told;
struct pgloop;

int certificate_told_alloc(struct certificate_told **ctp, struct pgloop *pl,
			   const struct tls *tls);

#endif
