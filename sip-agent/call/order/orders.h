/*
 * What the database wants done with legs: rows of app.leg_work.
 */
#ifndef ORDERS_H
#define ORDERS_H

#include "call/leg.h"

struct pg_answer;

void orders_do(struct legs *ls, const struct pg_answer *ans, int row, int rows);
void orders_put_off(struct leg *l);

#endif
