/*
 * json_patch.h: what has changed between two JSON texts, as a JSON Patch
 * (RFC 6902) of add, remove and replace.
 *
 * Elements of an array that are objects with an `id` are matched by it, so
 * that one contact's change is a small patch wherever the contact stands.
 */
#ifndef RESTSIP_STREAM_JSON_PATCH_H
#define RESTSIP_STREAM_JSON_PATCH_H

#include <stddef.h>

#include "common/buf.h"

/**
 * Add the patch that makes `to` of `from`: an array of operations, `[]` where
 * they are the same. Where the patch would be longer than `to`, or `from`
 * cannot be compared, it replaces the whole. Numbers are compared as they are
 * written. b->failed: no memory, or too long.
 */
void json_patch(struct buf *b, const char *from, size_t from_len,
		const char *to, size_t to_len);

#endif
