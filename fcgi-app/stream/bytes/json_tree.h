/*
 * json_tree.h: a JSON text of ours as a tree, to be compared: by yajl's stream
 * parser, without body.h's rules for what comes from outside.
 */
#ifndef RESTSIP_STREAM_JSON_TREE_H
#define RESTSIP_STREAM_JSON_TREE_H

#include <stddef.h>

#include "common/arena.h"
#include "shared/body.h"

enum {
	JSON_TREE_DEPTH_MAX = 64, /* a body of BODY_DEPTH_MAX, and around it */
};

/**
 * Parse. Numbers keep their text; of a name that is there twice, both stay.
 *
 * @param out  the value, in a
 * @return 0, EBADMSG (no JSON, or nested too deeply), ENOMEM
 */
int json_tree(const struct json **out, struct arena *a, const char *p,
	      size_t n);

#endif
