/*
 * 401: asks the database which algorithm to offer, and makes a nonce.
 */
#ifndef AUTH_CHALLENGE_H
#define AUTH_CHALLENGE_H

struct agent;
struct auth;

int challenge_open(struct agent *ag);
void challenge_ask(struct auth *a);

#endif
