/*
 * Which system it is: its settings.
 */
#ifndef CTL_PLACE_H
#define CTL_PLACE_H

#include <stddef.h>

struct config;

enum {
	PLACE_MAX = 4096,
};

int place_find(char path[static PLACE_MAX], const char *given);
int place_load(struct config *c, const char *path);

#endif
