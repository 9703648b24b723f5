/*
 * What passes between us and a leg's phone, for people to look at when
 * something went wrong: start lines and a few headers, never bodies,
 * credentials or tags.
 */
#ifndef LADDER_H
#define LADDER_H

#include <re.h>

struct agent;
struct ladder;
struct ladders;
struct leg;
struct rung;

int ladders_alloc(struct ladders **lsp, struct agent *ag, size_t bytes);
void ladder_note(struct leg *l, const struct rung *r);
void ladder_note_request(struct leg *l, const struct sip_msg *msg);

#endif
