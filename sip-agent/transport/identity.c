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

/**
 * Say who must be at an address, if a connection to it is opened next
 *
 * @param host A name. Unset, an IP address, or too long for a name: the
 *             certificate must be for the address itself
 */
void identity_expect(const struct sa *peer, const struct pl *host)
{
	struct sa sa;

	identity.address = *peer;
	if (!pl_isset(host) || !sa_set(&sa, host, 0) ||
	    pl_strcpy(host, identity.host, sizeof(identity.host)))
		*identity.host = '\0';
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
		if (err)
			*ptc = mem_deref(*ptc);
	}

	return err;
}
