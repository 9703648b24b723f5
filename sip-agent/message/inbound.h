/*
 * MESSAGEs from phones whose outcome is awaited.
 */
#ifndef INBOUND_H
#define INBOUND_H

#include <re.h>

struct agent;
struct inbound;
struct uas;

int inbound_alloc(struct inbound **ip, struct agent *ag);
bool inbound_answer(struct uas *u, const char *status, int code);
int inbound_wait(struct inbound *in, struct uas *u, int64_t send,
		 uint64_t until_ms);
void inbound_settled(struct inbound *in, int64_t send, int code);
void inbound_release(struct inbound *in);

#endif
