/*
 * Who hangs: programs say by sd_notify(3) that their loop turns, as they do to
 * systemd (WatchdogSec=). One that is silent for too long is killed, and so
 * started again. Its first word has twice as long (TimeoutStartSec=).
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

struct supervisor;

enum { WATCHDOG_S = 15, WATCHDOG_START = 2 };

/** Open the socket. $RESTSIP_WATCHDOG_S: after how long, 0: never */
void watchdog_open(struct supervisor *s);

/** In the child: tell the program where to say it, and how often */
void watchdog_env(const struct supervisor *s);

/** Read what they have said */
void watchdog_hear(struct supervisor *s);

/** Kill who is silent. @return after how many ms to look again, or -1 */
long long watchdog_look(struct supervisor *s);

#endif
