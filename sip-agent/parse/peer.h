/*
 * What addresses may be a peer's.
 */
#ifndef PEER_H
#define PEER_H

#include <re.h>

bool peer_is_possible(const struct sa *sa);

#endif
