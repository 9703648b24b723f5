/*
 * The listening sockets that the programs share, and which ports are free.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

struct supervisor;

void sockets_open(struct supervisor *s);
void sockets_close(struct supervisor *s);

/** Print the first port from there on that is free. @return an exit status */
int port_print(const char *first);

#endif
