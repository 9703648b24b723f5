/*
 * SIP URIs as the agent uses them: addresses of record, comparison keys, and
 * what may be written into a header.
 */
#ifndef URI_H
#define URI_H

#include <re.h>

enum {
	AOR_SIZE = 256,
	URI_KEY_SIZE = 2048,
};

int uri_to_aor(char *aor, size_t size, const struct pl *uri);
int uri_from_aor(char *uri, size_t size, const char *aor);
int uri_key(char *key, size_t size, const struct pl *uri);
bool uri_is_line(const struct pl *pl);

#endif
