/*
 * libre's client of DNS binds to every address of the host.  Ours binds to the
 * one that `listen` names, so that a firewall and `ss` see what they expect;
 * where the name servers cannot be reached from there, to the one that the
 * kernel would take.
 */
#include "transport/resolver.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cidr.h"
#include "logre.h"
#include "settings/settings.h"
#include "transport/libre_seam.h"

enum { NAMESERVERS_MAX = 8 };

/* Where packets of one do not come to the other */
static const char *const realms[] = {
	"127.0.0.0/8, ::1/128",
	"10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, "
	"169.254.0.0/16, fc00::/7, fe80::/10",
};

enum { REALMS = sizeof(realms) / sizeof(*realms) };

/* @return REALMS for a public address */
static size_t realm_of(const struct sa *sa)
{
	struct cidr_list *list;
	bool is_in = false;
	size_t i;

	for (i = 0; i < REALMS && !is_in; i++) {
		if (cidr_list_parse(&list, realms[i]))
			continue;
		is_in = cidr_list_match(list, &sa->u.sa);
		cidr_list_free(list);
	}

	return is_in ? i - 1 : REALMS;
}

/* The address that the kernel would take; nothing is sent */
static int source_to(struct sa *local, const struct sa *dst)
{
	const int fd = socket(sa_af(dst), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sa sa;
	int err = 0;

	if (fd < 0)
		return errno;

	sa_init(&sa, sa_af(dst));
	sa.len = sizeof(sa.u);
	if (connect(fd, &dst->u.sa, dst->len) ||
	    getsockname(fd, &sa.u.sa, &sa.len))
		err = errno;
	else
		*local = sa;
	(void)close(fd);

	return err;
}

/* Where to bind, to ask this server */
static int choose(struct sa *local, const struct sa *server,
		  const struct settings *set)
{
	const struct sa *sav;
	const size_t sac = settings_listen(set, &sav);

	for (size_t i = 0; i < sac; i++) {
		if (sa_af(&sav[i]) != sa_af(server))
			continue;
		if (sa_is_any(&sav[i]) ||
		    realm_of(&sav[i]) == realm_of(server)) {
			*local = sav[i];
			return 0;
		}
	}

	return source_to(local, server);
}

/* Whether a socket that is bound there can ask it */
static bool can_ask(const struct sa *local, const struct sa *server)
{
	return sa_af(local) == sa_af(server) &&
	       (sa_is_any(local) ||
		sa_is_loopback(local) == sa_is_loopback(server));
}

/* The first server that can be asked says where to bind; those that cannot be
   asked from there are left out.  @return how many are left */
static uint32_t bind_for(struct sa *local, struct sa *serverv, uint32_t serverc,
			 const struct settings *set)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < serverc; i++) {
		if (!n && choose(local, &serverv[i], set))
			continue;
		if (n && !can_ask(local, &serverv[i]))
			continue;
		serverv[n++] = serverv[i];
	}

	return n;
}

/**
 * Open the client of DNS
 *
 * @param dnscp Set to it, owned by the caller
 * @param set   Says where to listen
 *
 * @return 0 or an errno
 */
int resolver_alloc(struct dnsc **dnscp, const struct settings *set)
{
	struct sa serverv[NAMESERVERS_MAX], local;
	uint32_t all = NAMESERVERS_MAX, n = 0;
	const struct sa *sav;
	char domain[64];
	int err;

	if (dns_srv_get(domain, sizeof(domain), serverv, &all))
		all = 0;
	n = bind_for(&local, serverv, all, set);
	if (!n && settings_listen(set, &sav))
		local = sav[0];
	else if (!n && settings_tls_listen(set, &sav))
		local = sav[0];
	else if (!n)
		(void)sa_set_str(&local, "127.0.0.1", 0);
	sa_set_port(&local, 0);

	seam_set_local(&local);
	err = dnsc_alloc(dnscp, NULL, serverv, n);
	seam_set_local(NULL);
	if (!err)
		log_info("resolver", LOG_SA("local", &local),
			 LOG_INT("servers", n), LOG_INT("left_out", all - n));

	return err;
}
