/*
 * Dialogs of calls that have ended a moment ago.
 */
#ifndef LATELY_H
#define LATELY_H

#include <re.h>

enum {
	LATELY_MAX = 4096,     /* a later one takes the place of an earlier */
	LATELY_MS = 64 * 1000, /* twice what an ACK may take */
};

struct lately {
	struct {
		uint64_t key, until_ms;
	} dialogv[LATELY_MAX];
};

bool lately_was(const struct lately *lt, const char *call_id, const char *tag);
bool lately_was_of(const struct lately *lt, const struct sip_msg *msg);
bool lately_note(struct lately *lt, const char *call_id, const char *tag);
bool lately_note_answer(struct lately *lt, const struct sip_msg *msg);
bool lately_was_answer(const struct lately *lt, const struct sip_msg *msg);

#endif
