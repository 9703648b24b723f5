/*
 * One line of the log for each SIP transaction that changed or refused
 * something, so that whoever looks on sees what a phone did.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <re.h>

enum {
	JOURNAL_S = 1,	      /* the bounds are for so long */
	JOURNAL_PROVEN = 20,  /* lines of who is an account of ours */
	JOURNAL_STRANGER = 2, /* of all others together */
};

struct journal;

int journal_alloc(struct journal **jp);
void journal_tell(struct journal *j, const struct sip_msg *msg, bool proven,
		  uint16_t scode, const char *why, const char *id);

#endif
