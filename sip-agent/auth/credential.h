/*
 * Whether a response is right: by what was right a moment ago, or by the
 * database.
 */
#ifndef AUTH_CREDENTIAL_H
#define AUTH_CREDENTIAL_H

struct agent;
struct auth;

int credential_open(struct agent *ag);
void credential_check(struct auth *a);
void credential_forget(const struct auth *a);

#endif
