/*
 * settings_parts.h: the settings as their files see them.
 */
#ifndef SETTINGS_PARTS_H
#define SETTINGS_PARTS_H

#include <re.h>

#include "common/aor.h"
#include "common/config.h"
#include "settings/settings.h"

enum {
	NAME_SIZE = 128,
	HOST_MAX = 64, /* addresses of this host */
};

/* What separates the items of a list */
#define SEPARATORS ", \t"

struct cidr_list;

/** Where may be sent to */
struct sending {
	struct cidr_list *allow;
	struct cidr_list *special; /* only where listed as such */
	struct cidr_list *named;   /* the items of allow in those */
	struct cidr_list *single;  /* the items of allow that are one address */
};

struct settings {
	struct config cfg;
	struct sa listenv[LISTEN_MAX], tls_listenv[LISTEN_MAX];
	size_t listenc, tls_listenc;
	struct sa relayv[LISTEN_MAX];
	size_t relayc;
	char name[NAME_SIZE];
	char domain[AOR_BUF]; /* the one that is hosted; empty: there are more
			       */
	char hostname[AOR_BUF];
	struct cidr_list *bind_deny;
	char *addresses; /* of all listenv and tls_listenv */
	struct sending phones, rest;
	struct sa hostv[HOST_MAX]; /* this host's addresses but loopback */
	size_t hostc;
};

/* Of reach.c: what settings_may_bind() and settings_may_send() go by */
int settings_reach_open(struct settings *s);
void settings_reach_close(struct settings *s);

#endif
