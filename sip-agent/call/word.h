/*
 * What ends the INVITE of another process (api.leg_load), said a few times,
 * for nobody here hears that it has come.
 */
#ifndef WORD_H
#define WORD_H

struct legs;

void word_say(struct legs *ls, const char *text, const char *to);

#endif
