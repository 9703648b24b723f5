/*
 * What a REGISTER is answered with.
 */
#ifndef BINDINGS_H
#define BINDINGS_H

#include <stdbool.h>

struct pg_answer;
struct uas;

void bindings_reply(struct uas *u, const struct pg_answer *ans, int row,
		    int rows, const char *path, bool outbound);
bool bindings_alone(const struct pg_answer *ans, int row, int rows);

#endif
