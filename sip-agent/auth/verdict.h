/*
 * What becomes of a request once its response has been looked at.
 */
#ifndef AUTH_VERDICT_H
#define AUTH_VERDICT_H

struct agent;
struct auth;

int verdict_open(struct agent *ag);
void verdict_right(struct auth *a);
void verdict_wrong(struct auth *a);
void verdict_charge(const struct auth *a);

#endif
