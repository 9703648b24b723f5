/*
 * Where contacts may be bound and SIP may be sent, by networks and by what
 * this host is.
 */
#include "settings/reach.h"

#include <errno.h>
#include <string.h>

#include "common/cidr.h"
#include "common/sipuri.h"
#include "parse/peer.h"
#include "settings/ours.h"
#include "settings/settings_parts.h"

enum {
	SPECIAL_BITS_MIN = 7,
};

/* This network, loopback, link-local (RFC 6890) */
#define SPECIAL "0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 ::/128 ::1/128 fe80::/10 "

/* Networks that cannot be reached from everywhere (RFC 6890), or that hold IPv4
   addresses in another form (RFC 6052, RFC 3056, RFC 4380) */
#define PRIVATE \
	"10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 " \
	"192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 " \
	"203.0.113.0/24 240.0.0.0/4 64:ff9b::/96 64:ff9b:1::/48 100::/64 " \
	"2001::/23 2001:db8::/32 2002::/16 fc00::/7 fec0::/10"

static void sending_close(struct sending *se)
{
	cidr_list_free(se->allow);
	cidr_list_free(se->special);
	cidr_list_free(se->named);
	cidr_list_free(se->single);
}

/* An item allows loopback and the like only if it lies within them; one as wide
   as 0.0.0.0/1 does not */
static bool is_named(const struct sending *se, const char *item, size_t len)
{
	const char *slash = memchr(item, '/', len);
	struct pl addr = {item, slash ? (size_t)(slash - item) : len};
	struct sa sa;

	if (sa_set(&sa, &addr, 0) || !cidr_list_match(se->special, &sa.u.sa))
		return false;
	if (slash) {
		const struct pl bits = {slash + 1, len - addr.l - 1};

		return pl_u32(&bits) >= SPECIAL_BITS_MIN;
	}

	return true;
}

static bool is_single(const struct sending *se, const char *item, size_t len)
{
	const char *slash = memchr(item, '/', len);
	const struct pl bits = {slash + 1,
				slash ? (size_t)(item + len - slash - 1) : 0};

	(void)se;

	return !slash || pl_u32(&bits) == (memchr(item, ':', len) ? 128u : 32u);
}

/* The items of a list that are of a kind */
static int pick(struct cidr_list **lp, const struct sending *se, const char *p,
		bool(is)(const struct sending *se, const char *item,
			 size_t len))
{
	struct mbuf *mb = mbuf_alloc(256);
	size_t len;
	int err = 0;

	if (!mb)
		return ENOMEM;

	for (;; p += len) {
		p += strspn(p, SEPARATORS);
		len = strcspn(p, SEPARATORS);
		if (!len)
			break;
		if (is(se, p, len))
			err |= mbuf_printf(mb, "%b ", p, len);
	}
	err |= mbuf_write_u8(mb, 0);
	if (!err)
		err = cidr_list_parse(lp, (char *)mb->buf);
	mem_deref(mb);

	return err;
}

static int sending_open(struct sending *se, const char *allow,
			const char *special)
{
	int err;

	err = cidr_list_parse(&se->allow, allow);
	if (!err)
		err = cidr_list_parse(&se->special, special);
	if (!err)
		err = pick(&se->named, se, allow, is_named);
	if (!err)
		err = pick(&se->single, se, allow, is_single);

	return err;
}

static bool interface_handler(const char *name, const struct sa *sa, void *arg)
{
	struct settings *s = arg;

	(void)name;
	if (!sa_is_loopback(sa) && s->hostc < HOST_MAX)
		s->hostv[s->hostc++] = *sa;

	return false;
}

int settings_reach_open(struct settings *s)
{
	int err;

	for (size_t i = 0; i < s->listenc; i++)
		(void)interface_handler("", &s->listenv[i], s);
	for (size_t i = 0; i < s->tls_listenc; i++)
		(void)interface_handler("", &s->tls_listenv[i], s);
	(void)net_if_apply(interface_handler, s);

	err = cidr_list_parse(&s->bind_deny, s->cfg.agent.bind_deny);
	if (!err)
		err = sending_open(&s->phones, s->cfg.agent.send_allow,
				   SPECIAL);
	if (!err)
		err = sending_open(&s->rest, s->cfg.agent.rest_send_allow,
				   SPECIAL PRIVATE);

	return err;
}

void settings_reach_close(struct settings *s)
{
	cidr_list_free(s->bind_deny);
	sending_close(&s->phones);
	sending_close(&s->rest);
}

/* @return false: it is a name */
static bool address_of(struct sa *sa, const struct sipuri_part *host,
		       uint16_t port, bool secure)
{
	const uint16_t usual = secure ? SIP_PORT_TLS : SIP_PORT;
	struct pl pl = {host->p, host->n};

	if (pl.l > 2 && pl.p[0] == '[')
		pl = (struct pl){pl.p + 1, pl.l - 2};

	return !sa_set(sa, &pl, port ? port : usual);
}

/** Whether a contact is where this agent itself listens */
bool settings_is_own_contact(const struct settings *s,
			     const struct sipuri *contact)
{
	struct sa sa;

	return address_of(&sa, &contact->host, contact->port,
			  contact->secure) &&
	       settings_is_own(s, &sa);
}

static bool may_bind_host(const struct settings *s,
			  const struct sipuri_part *host, uint16_t port,
			  bool secure)
{
	struct sa sa;

	if (!address_of(&sa, host, port, secure))
		return true; /* a name: its addresses are checked at the send */

	return !settings_is_own(s, &sa) &&
	       !cidr_list_match(s->bind_deny, &sa.u.sa);
}

/** Whether a contact may be bound */
bool settings_may_bind(const struct settings *s, const struct sipuri *contact)
{
	struct sipuri_part maddr;

	if (sipuri_param(contact, "maddr", &maddr) &&
	    !may_bind_host(s, &maddr, contact->port, contact->secure))
		return false;

	return may_bind_host(s, &contact->host, contact->port, contact->secure);
}

static bool is_of_host(const struct settings *s, const struct sa *sa)
{
	for (size_t i = 0; i < s->hostc; i++) {
		if (sa_cmp(&s->hostv[i], sa, SA_ADDR))
			return true;
	}

	return false;
}

static bool may_send(const struct settings *s, const struct sending *se,
		     const struct sa *dst)
{
	if (!cidr_list_match(se->allow, &dst->u.sa))
		return false;
	if (is_of_host(s, dst) && !cidr_list_match(se->single, &dst->u.sa))
		return false;

	return !cidr_list_match(se->special, &dst->u.sa) ||
	       cidr_list_match(se->named, &dst->u.sa);
}

/* An IPv4 address written as IPv6: it would match none of our lists */
static bool is_mapped(const struct sa *sa)
{
	return sa_af(sa) == AF_INET6 &&
	       IN6_IS_ADDR_V4MAPPED(&sa->u.in6.sin6_addr);
}

/**
 * Whether SIP may be sent to an address; never to broadcast, multicast or
 * ourselves
 *
 * @param rest For a contact that REST made, which both lists must allow
 */
bool settings_may_send(const struct settings *s, const struct sa *dst,
		       bool rest)
{
	return !settings_is_own(s, dst) && peer_is_possible(dst) &&
	       !is_mapped(dst) && may_send(s, &s->phones, dst) &&
	       (!rest || may_send(s, &s->rest, dst));
}
