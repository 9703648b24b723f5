/*
 * What names this server.
 */
#ifndef SETTINGS_OURS_H
#define SETTINGS_OURS_H

#include <re.h>

#include "common/aor.h"

struct settings;

bool settings_hosts(const struct settings *s, const struct pl *domain);
bool settings_is_tls(const struct settings *s, const struct sa *sa);
bool settings_is_own(const struct settings *s, const struct sa *sa);
bool settings_is_ours(const struct settings *s, const struct uri *uri);
int settings_to_aor(const struct settings *s, char aor[AOR_BUF],
		    const struct pl *uri);

#endif
