/*
 * OPTIONS (RFC 3261 section 11): what this server can do; one's own address of
 * record is asked at the phone.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

struct agent;
struct sip_msg;

void options_handle(struct agent *ag, const struct sip_msg *msg);

#endif
