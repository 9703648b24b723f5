/*
 * Where contacts may be bound, and where SIP may be sent.
 */
#ifndef SETTINGS_REACH_H
#define SETTINGS_REACH_H

#include <re.h>

struct settings;
struct sipuri;

bool settings_is_own_contact(const struct settings *s,
			     const struct sipuri *contact);
bool settings_may_bind(const struct settings *s, const struct sipuri *contact);
bool settings_may_send(const struct settings *s, const struct sa *dst,
		       bool rest);

#endif
