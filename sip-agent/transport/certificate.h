/*
 * The certificate of SIP over TLS: loaded, and loaded again when its files
 * change or on SIGHUP, while connections and what goes over them stay.
 */
#ifndef CERTIFICATE_H
#define CERTIFICATE_H

#include <re.h>

enum {
	CERTIFICATE_LOOK_MS = 2000,	 /* how often the files are looked at */
	CERTIFICATE_SOON_S = 14 * 86400, /* before its end, the log says so */
	CERTIFICATE_WARN_MS = 86400000,	 /* again and again */
};

struct certificate;
struct settings;

int certificate_alloc(struct certificate **cp, const struct settings *set);
struct tls *certificate_tls(const struct certificate *c);
int certificate_load(struct certificate *c);
int64_t certificate_ends(const struct tls *tls);

#endif
