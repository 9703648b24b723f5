/*
 * Addresses of record in SIP URIs, and what may be written into a header.
 */
#ifndef URI_H
#define URI_H

#include <re.h>

#include "common/aor.h"

int uri_to_aor(char aor[AOR_BUF], const struct pl *uri, const char *domain);
bool uri_is_line(const struct pl *pl);
int uri_of_contact(char **urip, const char *contact);

#endif
