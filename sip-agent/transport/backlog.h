/*
 * How many connections may wait to be accepted.
 */
#ifndef BACKLOG_H
#define BACKLOG_H

void backlog_lengthen(void);

#endif
