/*
 * Each name is looked up by a thread of its own, which nobody waits for: it
 * ends when the resolver gives up, and by then the program may be gone.
 */
#include "common/pg/hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "common/log.h"

enum {
	NAME_SIZE = 256, /* RFC 1035 section 2.3.4 */
	PORT_SIZE = 8,
	ADDRESS_SIZE = INET6_ADDRSTRLEN + 20, /* with its scope */
	LIST_MAX = PG_HOSTS_MAX * PG_ADDRESSES_MAX * NAME_SIZE,
};

struct addresses {
	size_t n;
	char text[PG_ADDRESSES_MAX][ADDRESS_SIZE];
};

/* One lookup. Whoever of both sides comes second frees it. */
struct lookup {
	atomic_bool over; /* for one side */
	char name[NAME_SIZE];
	int err; /* of getaddrinfo() */
	struct addresses found;
};

struct host {
	char host[NAME_SIZE], hostaddr[NAME_SIZE], port[PORT_SIZE];
	bool is_name;
	struct lookup *lookup; /* under way */
	uint64_t looked_ms;    /* when the last one came; 0: never */
	int err;	       /* of the last one; it is logged once */
	struct addresses known;
};

struct pg_hosts {
	struct host host[PG_HOSTS_MAX];
	size_t n;
};

/* ---- the thread ---- */

static void add_address(struct addresses *a, const struct addrinfo *ai)
{
	if (a->n < PG_ADDRESSES_MAX &&
	    !getnameinfo(ai->ai_addr, ai->ai_addrlen, a->text[a->n],
			 ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST))
		a->n++;
}

static void lookup_end(struct lookup *l)
{
	if (atomic_exchange(&l->over, true))
		free(l);
}

static void *lookup_thread(void *arg)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct lookup *l = arg;
	struct addrinfo *all = NULL;

	l->err = getaddrinfo(l->name, NULL, &hints, &all);
	for (const struct addrinfo *ai = all; ai && !l->err; ai = ai->ai_next)
		add_address(&l->found, ai);
	if (!l->err)
		freeaddrinfo(all);
	lookup_end(l);
	return NULL;
}

/* Signals are for the loop's thread. */
static int thread_start(struct lookup *l)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	(void)sigfillset(&all);
	err = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (err)
		return err;
	err = pthread_create(&thread, NULL, lookup_thread, l);
	if (!err)
		(void)pthread_detach(thread);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

/* ---- looking ---- */

static void look_start(struct host *host, uint64_t now_ms)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (l)
		memcpy(l->name, host->host, sizeof(l->name));
	if (l && !thread_start(l)) {
		host->lookup = l;
		return;
	}
	free(l);
	host->looked_ms = now_ms; /* what was known has to do */
}

/* Has it come? What is not found any more stays where it was. */
static bool look_end(struct host *host, uint64_t now_ms)
{
	struct lookup *l = host->lookup;

	if (!atomic_load(&l->over))
		return false;
	if (l->found.n)
		host->known = l->found;
	else if (l->err != host->err)
		log_warn("name_not_found", LOG_STR("host", host->host),
			 LOG_STR("why", gai_strerror(l->err)));
	host->err = l->err;
	host->lookup = NULL;
	host->looked_ms = now_ms;
	free(l);
	return true;
}

static bool host_look(struct host *host, uint64_t now_ms)
{
	if (!host->is_name)
		return true;
	if (host->lookup)
		return look_end(host, now_ms);
	if (host->looked_ms && now_ms - host->looked_ms < PG_HOSTS_FRESH_MS)
		return true;
	look_start(host, now_ms);
	return !host->lookup;
}

bool pg_hosts_look(struct pg_hosts *h, uint64_t now_ms)
{
	bool all = true;

	for (size_t i = 0; i < h->n; i++)
		all &= host_look(&h->host[i], now_ms);
	return all;
}

bool pg_hosts_are_known(const struct pg_hosts *h)
{
	bool any = !h->n;

	for (size_t i = 0; i < h->n; i++)
		any |= !h->host[i].is_name || h->host[i].known.n;
	return any;
}

/* ---- what is known ---- */

static void list_add(struct pg_hosts_list *list, const struct host *host,
		     const char *address)
{
	const char *comma = list->n ? "," : "";

	buf_fmt(&list->host, "%s%s", comma, host->host);
	buf_fmt(&list->hostaddr, "%s%s", comma, address);
	buf_fmt(&list->port, "%s%s", comma, host->port);
	list->n++;
}

/* Addresses that are known, of all names, and hosts that need none */
static size_t places(const struct pg_hosts *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		n += h->host[i].is_name ? h->host[i].known.n : 1;
	return n;
}

static void list_place(struct pg_hosts_list *list, const struct pg_hosts *h,
		       size_t at)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct host *host = &h->host[i];
		const size_t n = host->is_name ? host->known.n : 1;

		if (at < n) {
			list_add(list, host,
				 host->is_name ? host->known.text[at]
					       : host->hostaddr);
			return;
		}
		at -= n;
	}
}

void pg_hosts_list(struct pg_hosts_list *list, const struct pg_hosts *h,
		   size_t from)
{
	const size_t n = places(h);

	list->n = 0;
	buf_init(&list->host, LIST_MAX);
	buf_init(&list->hostaddr, LIST_MAX);
	buf_init(&list->port, LIST_MAX);
	for (size_t i = 0; i < n; i++)
		list_place(list, h, (from + i) % n);
	if (list->host.failed || list->hostaddr.failed || list->port.failed)
		pg_hosts_list_free(list);
}

void pg_hosts_list_free(struct pg_hosts_list *list)
{
	buf_free(&list->host);
	buf_free(&list->hostaddr);
	buf_free(&list->port);
	list->n = 0;
}

/* ---- the conninfo ---- */

/* Whether libpq would ask the resolver: no folder of a socket, no address. */
static bool is_name(const struct host *host)
{
	struct in6_addr in6;
	struct in_addr in;

	return !host->hostaddr[0] && host->host[0] && host->host[0] != '/' &&
	       host->host[0] != '@' && !strchr(host->host, ':') &&
	       inet_pton(AF_INET, host->host, &in) != 1 &&
	       inet_pton(AF_INET6, host->host, &in6) != 1;
}

/* The next of a list with commas. @return false: there is none */
static bool part_next(const char **list, char *out, size_t size)
{
	const size_t n = *list ? strcspn(*list, ",") : 0;

	if (!*list || n >= size)
		return false;
	memcpy(out, *list, n);
	out[n] = '\0';
	*list = (*list)[n] ? *list + n + 1 : NULL;
	return true;
}

static const char *option(const PQconninfoOption *o, const char *keyword)
{
	while (o->keyword && strcmp(o->keyword, keyword) != 0)
		o++;
	return o->val && *o->val ? o->val : NULL;
}

/* @return false: let libpq say what is wrong with it */
static bool read_hosts(struct pg_hosts *h, const PQconninfoOption *o)
{
	const char *hosts = option(o, "host"), *port = option(o, "port");
	const char *addresses = option(o, "hostaddr");
	const bool named = hosts != NULL, addressed = addresses != NULL;
	const bool one_port = !port || !strchr(port, ',');

	while (hosts || addresses) {
		struct host *host = &h->host[h->n];
		const char *ports = one_port ? port : NULL;

		if (h->n == PG_HOSTS_MAX ||
		    (named && !part_next(&hosts, host->host, NAME_SIZE)) ||
		    (addressed &&
		     !part_next(&addresses, host->hostaddr, NAME_SIZE)) ||
		    !part_next(one_port ? &ports : &port, host->port,
			       PORT_SIZE))
			return false;
		host->is_name = is_name(host);
		h->n++;
	}
	return h->n && (one_port || !port);
}

/* What holds of it, of the environment and of a service file: libpq says that
 * of a connection which it refuses to begin, and so looks nothing up for. */
static PQconninfoOption *options_of(const char *conninfo)
{
	const char *const keys[] = {"dbname", "target_session_attrs", NULL};
	const char *const values[] = {conninfo, "nobody", NULL};
	PGconn *pg = PQconnectStartParams(keys, values, 1);
	PQconninfoOption *options = PQconninfo(pg);

	PQfinish(pg);
	return options;
}

int pg_hosts_new(struct pg_hosts **out, const char *conninfo)
{
	struct pg_hosts *h = calloc(1, sizeof(*h));
	PQconninfoOption *options = options_of(conninfo);

	if (!h || !options) {
		free(h);
		PQconninfoFree(options);
		return ENOMEM;
	}
	/* One that has no name needs nothing of us. */
	if (!read_hosts(h, options) || (h->n == 1 && !h->host[0].is_name))
		h->n = 0;
	PQconninfoFree(options);
	*out = h;
	return 0;
}

void pg_hosts_free(struct pg_hosts *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n; i++)
		if (h->host[i].lookup)
			lookup_end(h->host[i].lookup);
	free(h);
}
