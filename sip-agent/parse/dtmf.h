/*
 * A pressed key in the body of an INFO: application/dtmf-relay, lines as
 * `Signal=5`, and application/dtmf, the key alone. No RFC has them; phones do.
 */
#ifndef DTMF_H
#define DTMF_H

#include <re.h>

int dtmf_read(char *key, const struct pl *type, const struct pl *body);

#endif
