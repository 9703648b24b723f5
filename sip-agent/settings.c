/*
 * The agent's settings: addresses and networks are parsed once, at the start.
 */
#include "settings.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/aor.h"
#include "common/cidr.h"
#include "common/config.h"
#include "common/sipuri.h"
#include "logre.h"
#include "parse/peer.h"
#include "parse/uri.h"

#define SEPARATORS ", \t"

enum {
	NAME_SIZE = 128,
	SPECIAL_BITS_MIN = 7,
	HOST_MAX = 64, /* addresses of this host */
};

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

static void destructor(void *arg)
{
	struct settings *s = arg;

	mem_deref(s->addresses);
	cidr_list_free(s->bind_deny);
	sending_close(&s->phones);
	sending_close(&s->rest);
	config_free(&s->cfg);
}

/* libre takes of a port what fits into one */
static bool has_port(const char *p, size_t len)
{
	struct pl port = {p + len, 0};

	while (port.p > p && port.p[-1] >= '0' && port.p[-1] <= '9') {
		port.p--;
		port.l++;
	}

	return port.l && port.l <= 5 && pl_u32(&port) <= UINT16_MAX;
}

/* Concrete addresses: what we are bound to is what Via says */
static int read_addresses(struct sa *sav, size_t *sac, const char *key,
			  const char *p)
{
	for (;;) {
		struct sa *sa = &sav[*sac];
		size_t len;

		p += strspn(p, SEPARATORS);
		len = strcspn(p, SEPARATORS);
		if (!len)
			return 0;
		if (*sac >= LISTEN_MAX) {
			log_error("settings", LOG_STR("key", key),
				  LOG_STR("why", "more than 8 addresses"));
			return E2BIG;
		}
		if (sa_decode(sa, p, len) || sa_is_any(sa) || !sa_port(sa) ||
		    !has_port(p, len)) {
			log_error("settings", LOG_STR("key", key),
				  LOG_MEM("value", p, len),
				  LOG_STR("why", "not a concrete "
						 "address:port"));
			return EINVAL;
		}
		++*sac;
		p += len;
	}
}

static int read_listen(struct settings *s)
{
	int err;

	err = read_addresses(s->listenv, &s->listenc, "agent.listen",
			     s->cfg.agent.listen);
	if (!err)
		err = read_addresses(s->tls_listenv, &s->tls_listenc,
				     "agent.tls_listen",
				     s->cfg.agent.tls_listen);
	if (!err)
		err = read_addresses(s->relayv, &s->relayc, "media.rtpengine",
				     s->cfg.media.rtpengine);
	if (err)
		return err;
	if (!s->listenc)
		return EINVAL;

	if (*s->cfg.agent.name)
		str_ncpy(s->name, s->cfg.agent.name, sizeof(s->name));
	else
		(void)re_snprintf(s->name, sizeof(s->name), "%J",
				  &s->listenv[0]);

	return 0;
}

static int write_addresses(struct settings *s)
{
	struct mbuf *mb = mbuf_alloc(256);
	int err = 0;

	if (!mb)
		return ENOMEM;

	for (size_t i = 0; i < s->listenc; i++)
		err |= mbuf_printf(mb, "%s%J", mb->end ? "," : "",
				   &s->listenv[i]);
	for (size_t i = 0; i < s->tls_listenc; i++)
		err |= mbuf_printf(mb, "%s%J", mb->end ? "," : "",
				   &s->tls_listenv[i]);
	mb->pos = 0;
	if (!err)
		err = mbuf_strdup(mb, &s->addresses, mb->end);
	mem_deref(mb);

	return err;
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

static int read_networks(struct settings *s)
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

/**
 * Read the settings; says on the log what is wrong with them, if anything
 *
 * @param sp   Set to the settings, owned by the caller
 * @param file INI file, NULL for none
 */
int settings_alloc(struct settings **sp, const char *file)
{
	struct settings *s = mem_zalloc(sizeof(*s), destructor);
	char why[CONFIG_WHY_SIZE];
	int err;

	if (!s)
		return ENOMEM;

	err = config_load(&s->cfg, file, why);
	if (err) {
		log_error("settings", LOG_STR("why", why));
	} else {
		if (!config_only_domain(&s->cfg, s->domain))
			s->domain[0] = '\0';
		if (gethostname(s->hostname, sizeof(s->hostname) - 1))
			s->hostname[0] = '\0'; /* too long for a domain */
		err = read_listen(s);
		if (!err)
			err = write_addresses(s);
		if (!err)
			err = read_networks(s);
	}

	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}

enum log_level settings_log_level(const struct settings *s)
{
	return s->cfg.log.level;
}

const char *settings_name(const struct settings *s)
{
	return s->name;
}

/** All that is listened on, host:port with commas between */
const char *settings_addresses(const struct settings *s)
{
	return s->addresses;
}

const char *settings_conninfo(const struct settings *s)
{
	return s->cfg.database.conninfo;
}

/** The addresses to listen on; @return how many */
size_t settings_listen(const struct settings *s, const struct sa **sav)
{
	*sav = s->listenv;

	return s->listenc;
}

/** The addresses to listen on for TLS; @return how many */
size_t settings_tls_listen(const struct settings *s, const struct sa **sav)
{
	*sav = s->tls_listenv;

	return s->tls_listenc;
}

/** Where media relays are asked; @return how many */
size_t settings_relays(const struct settings *s, const struct sa **sav)
{
	*sav = s->relayv;

	return s->relayc;
}

/** PEM file of authorities beside the system's; empty where there is none */
const char *settings_tls_authorities(const struct settings *s)
{
	return s->cfg.agent.tls_authorities;
}

/** PEM file of the certificate and its chain; empty where there is none */
const char *settings_tls_certificate(const struct settings *s)
{
	return s->cfg.agent.tls_certificate;
}

/** PEM file of the certificate's key */
const char *settings_tls_key(const struct settings *s)
{
	return s->cfg.agent.tls_key;
}

uint32_t settings_min_expires(const struct settings *s)
{
	return (uint32_t)s->cfg.agent.min_expires_s;
}

uint32_t settings_max_expires(const struct settings *s)
{
	return (uint32_t)s->cfg.agent.max_expires_s;
}

uint32_t settings_default_expires(const struct settings *s)
{
	return (uint32_t)s->cfg.agent.default_expires_s;
}

/** All of them as they were read, borrowed */
const struct config *settings_config(const struct settings *s)
{
	return &s->cfg;
}

/** Whether accounts of this domain live here; letters of either case */
bool settings_hosts(const struct settings *s, const struct pl *domain)
{
	char normal[AOR_BUF];

	return pl_isset(domain) &&
	       !domain_parse(normal, domain->p, domain->l) &&
	       config_hosts(&s->cfg, normal);
}

static bool is_listed(const struct sa *sav, size_t sac, const struct sa *sa)
{
	for (size_t i = 0; i < sac; i++) {
		if (sa_cmp(&sav[i], sa, SA_ALL))
			return true;
	}

	return false;
}

/** Whether this is an address that we listen on for TLS */
bool settings_is_tls(const struct settings *s, const struct sa *sa)
{
	return is_listed(s->tls_listenv, s->tls_listenc, sa);
}

/** How much is kept of what passes between us and a phone in a call */
size_t settings_trace_bytes(const struct settings *s)
{
	return (size_t)s->cfg.agent.trace_bytes;
}

/** How long a TLS handshake may take */
uint64_t settings_handshake_ms(const struct settings *s)
{
	return (uint64_t)s->cfg.limits.handshake_s * 1000;
}

/** Whether this is an address that we listen on */
bool settings_is_own(const struct settings *s, const struct sa *sa)
{
	return is_listed(s->listenv, s->listenc, sa) ||
	       is_listed(s->tls_listenv, s->tls_listenc, sa);
}

/* --- our names ------------------------------------------------------------
 */

/* An address that we listen on; without a port, at any of them */
static bool is_own_host(const struct settings *s, const struct sa *sa,
			uint16_t port)
{
	if (port)
		return settings_is_own(s, sa);

	for (size_t i = 0; i < s->listenc; i++) {
		if (sa_cmp(&s->listenv[i], sa, SA_ADDR))
			return true;
	}
	for (size_t i = 0; i < s->tls_listenc; i++) {
		if (sa_cmp(&s->tls_listenv[i], sa, SA_ADDR))
			return true;
	}

	return false;
}

/* An IPv6 address out of its brackets */
static struct pl without_brackets(struct pl host)
{
	if (host.l > 2 && *host.p == '[')
		return (struct pl){host.p + 1, host.l - 2};

	return host;
}

/* Whether an item of the setting aliases is this host */
static bool is_same_host(const struct pl *item, const struct pl *host)
{
	char one[AOR_BUF], other[AOR_BUF];
	struct sa a, b;

	if (!sa_set(&a, item, 0))
		return !sa_set(&b, host, 0) && sa_cmp(&a, &b, SA_ADDR);

	return !domain_parse(one, item->p, item->l) &&
	       !domain_parse(other, host->p, host->l) && !strcmp(one, other);
}

static bool is_alias(const struct settings *s, const struct pl *host)
{
	const char *p = s->cfg.agent.aliases;
	const struct pl hostname = {s->hostname, strlen(s->hostname)};
	size_t n;

	if (hostname.l && is_same_host(&hostname, host))
		return true;

	while ((n = config_item(&p))) {
		const struct pl item = without_brackets((struct pl){p - n, n});

		if (is_same_host(&item, host))
			return true;
	}

	return false;
}

/*
 * Whether a host stands for the domain that is hosted here: our own addresses,
 * our host's name and the aliases do, where it is one alone.  Who sets up a
 * first phone knows no other name of the server, and some phones have no field
 * for one.
 */
static bool is_our_name(const struct settings *s, struct pl host, uint16_t port)
{
	struct sa sa;

	if (!*s->domain)
		return false;
	host = without_brackets(host);

	return (!sa_set(&sa, &host, port) && is_own_host(s, &sa, port)) ||
	       is_alias(s, &host);
}

/** Whether a URI names this server: a domain of ours or our own address */
bool settings_is_ours(const struct settings *s, const struct uri *uri)
{
	const uint16_t usual = pl_strcasecmp(&uri->scheme, "sips")
				       ? SIP_PORT
				       : SIP_PORT_TLS;
	struct sa sa;

	if (settings_hosts(s, &uri->host) ||
	    is_our_name(s, uri->host, uri->port))
		return true;

	return !sa_set(&sa, &uri->host, uri->port ? uri->port : usual) &&
	       settings_is_own(s, &sa);
}

/**
 * The address of record in a SIP URI, as uri_to_aor() has it; what stands for
 * the domain is the domain
 */
int settings_to_aor(const struct settings *s, char aor[AOR_BUF],
		    const struct pl *uri)
{
	struct sipuri u;

	if (sipuri_parse(&u, uri->p, uri->l))
		return EINVAL;

	return uri_to_aor(
		aor, uri,
		is_our_name(s, (struct pl){u.host.p, u.host.n}, u.port)
			? s->domain
			: NULL);
}

/* --- where may be sent to -------------------------------------------------
 */

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
