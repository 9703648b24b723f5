/*
 * Doorbells that are to be rung together.  Nobody here looks into one.
 */
#ifndef BELLS_H
#define BELLS_H

enum {
	BELLS_SIZE = 64 * 1024, /* of text; more are dropped: all poll */
};

struct bells;

int bells_alloc(struct bells **bp);
void bells_add(struct bells *b, const char *array);
const char *bells_text(const struct bells *b);
void bells_clear(struct bells *b);

#endif
