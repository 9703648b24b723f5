/*
 * Our own Contact, in dialogs: the address by which the other side reaches us
 * (RFC 3261 section 12.1.1).
 */
#ifndef LOCAL_TARGET_H
#define LOCAL_TARGET_H

#include <re.h>

struct agent;

int local_target_of(char **urip, const struct agent *ag,
		    const struct sip_msg *msg);
int local_target_to(char **urip, const struct agent *ag, const struct sa *peer,
		    enum sip_transp tp);
int local_target_write(struct mbuf *mb, const struct sa *laddr,
		       enum sip_transp tp);

#endif
