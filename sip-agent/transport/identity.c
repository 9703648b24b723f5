/*
 * A TLS connection that the agent opens is used only if the certificate there
 * is for the host that the contact names, or for the address if it names that
 * (RFC 5922 section 7.4), and comes from an authority that is trusted here.
 *
 * libre 1.1.0 takes whatever certificate it is shown, and gives no hand on its
 * connections before the handshake.  So tls_start_tcp() is defined here once
 * more, as libre_seam.c does with others.
 */
#include "transport/identity.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

enum {
	BUCKETS = 256,
	LAYER = 20, /* above TLS, which has 0, and SIP's */
};

typedef int(start_f)(struct tls_conn **ptc, struct tls *tls,
		     struct tcp_conn *tcp, int layer);

/* libre's function has no argument of ours. It opens a connection and starts
   TLS on it within one call, so one of each is enough */
static struct {
	const struct tcp_conn *tc; /* the one opened last; compared, not used */
	struct sa peer;		   /* of that */
	struct sa address;	   /* of host */
	char host[IDENTITY_HOST_SIZE];
} identity;

/* A connection that is open, and for whom. Libre sends all that goes to an
   address over the one that it has there, whoever is meant */
struct known {
	struct le le;
	struct tcp_helper *th; /* its connection has let go of it: it is over */
	struct sa peer;
	char host[IDENTITY_HOST_SIZE]; /* "": for the address */
};

static struct list known[BUCKETS];

static void known_destructor(void *arg)
{
	struct known *k = arg;

	list_unlink(&k->le);
	mem_deref(k->th);
}

static struct list *bucket(const struct sa *peer)
{
	return &known[sa_hash(peer, SA_ALL) % BUCKETS];
}

/* @return whether what is open to there is for the host that is expected */
static bool is_free(const struct sa *peer)
{
	struct le *le = list_head(bucket(peer));
	bool free = true;

	while (le) {
		struct known *k = le->data;

		le = le->next;
		if (mem_nrefs(k->th) == 1)
			mem_deref(k);
		else if (sa_cmp(&k->peer, peer, SA_ALL) &&
			 str_casecmp(k->host, identity.host))
			free = false;
	}

	return free;
}

static int remember(struct tcp_conn *tc)
{
	struct known *k = mem_zalloc(sizeof(*k), known_destructor);
	int err;

	if (!k)
		return ENOMEM;

	err = tcp_register_helper(&k->th, tc, LAYER, NULL, NULL, NULL, NULL);
	if (err) {
		mem_deref(k);
		return err;
	}
	(void)mem_ref(
		k->th); /* beside its connection, which had the only one */
	k->peer = identity.peer;
	if (sa_cmp(&identity.address, &identity.peer, SA_ALL))
		str_ncpy(k->host, identity.host, sizeof(k->host));
	list_append(bucket(&k->peer), &k->le, k);

	return 0;
}

/**
 * Say who must be at an address, if a connection to it is opened next
 *
 * @param host A name. Unset, an IP address, or too long for a name: the
 *             certificate must be for the address itself
 *
 * @return false where one is open to there already, for somebody else
 */
bool identity_expect(const struct sa *peer, const struct pl *host)
{
	struct sa sa;

	identity.address = *peer;
	if (!pl_isset(host) || !sa_set(&sa, host, 0) ||
	    pl_strcpy(host, identity.host, sizeof(identity.host)))
		*identity.host = '\0';

	return is_free(peer);
}

/** A connection is being opened, on which TLS may be started next */
void identity_opened(const struct tcp_conn *tc, const struct sa *peer)
{
	identity.tc = tc;
	identity.peer = *peer;
}

/** One was accepted, perhaps where the one opened last has been in memory */
void identity_accepted(void)
{
	identity.tc = NULL;
}

/* OpenSSL compares an IP address with the certificate's addresses, and all else
   with its names */
static int demand(struct tls_conn *tc)
{
	char address[64];
	int err;

	if (*identity.host &&
	    sa_cmp(&identity.address, &identity.peer, SA_ALL)) {
		err = tls_set_servername(tc, identity.host);

		return err ? err : tls_set_verify_server(tc, identity.host);
	}
	if (re_snprintf(address, sizeof(address), "%j", &identity.peer) < 0)
		return EINVAL;

	return tls_set_verify_server(tc, address);
}

/** As libre's; called by libre for each TLS connection, and by us */
int tls_start_tcp(struct tls_conn **ptc, struct tls *tls, struct tcp_conn *tcp,
		  int layer)
{
	union {
		void *p;
		start_f *f;
	} real = {.p = dlsym(RTLD_NEXT, "tls_start_tcp")};
	const bool is_ours = tcp && tcp == identity.tc;
	int err;

	if (!real.p)
		return ENOSYS;

	identity.tc = NULL;
	err = real.f(ptc, tls, tcp, layer);
	if (!err && is_ours) {
		err = demand(*ptc);
		if (!err)
			err = remember(tcp);
		if (err)
			*ptc = mem_deref(*ptc);
	}

	return err;
}
