/*
 * Whether the phones of calls that are up are still there (RFC 3261 section
 * 11.2, RFC 5057): the database says when they are asked.
 */
#ifndef ALIVE_H
#define ALIVE_H

#include "call/leg.h"

void alive_ask(struct leg *l);

#endif
