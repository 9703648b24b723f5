/*
 * Chooses where a request to a binding goes next, over TLS where it must.
 */
#include "transaction/next_hop.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/sipuri.h"
#include "parse/nameaddr.h"
#include "transaction/flow.h"

/**
 * Whether a request may only go over TLS: to a sips: URI, or to what has
 * registered over TLS
 *
 * @param uri  Request-URI
 * @param flow The flow it is meant for, or NULL
 */
bool next_hop_needs_tls(const char *uri, const char *flow)
{
	return !strncasecmp(uri, "sips:", 5) ||
	       (flow && !strncmp(flow, "tls:", 4));
}

/* Whether a URI is reached by connections of that transport */
static bool is_of_transport(const struct sipuri *uri, enum sip_transp tp)
{
	struct sipuri_part val;
	struct pl transport;

	if (uri->secure)
		return tp == SIP_TRANSP_TLS;
	if (!sipuri_param(uri, "transport", &val))
		return false;
	transport = (struct pl){val.p, val.n};

	return !pl_strcasecmp(&transport, tp == SIP_TRANSP_TLS ? "tls" : "tcp");
}

/**
 * Whether a phone that has opened a connection takes others, too: it names
 * that transport, the host that the connection came from, and another port
 * than the connection's own, behind which nobody listens (RFC 3261 section
 * 18.1.1; unlike a flow of RFC 5626)
 *
 * @param uri Its contact, or the first URI of its path
 * @param src Where the connection came from
 */
bool next_hop_dials(const struct pl *uri, enum sip_transp tp,
		    const struct sa *src)
{
	struct sipuri u;
	struct pl host;
	struct sa sa;

	if ((tp != SIP_TRANSP_TCP && tp != SIP_TRANSP_TLS) ||
	    sipuri_parse(&u, uri->p, uri->l) || !is_of_transport(&u, tp))
		return false;
	host = (struct pl){u.host.p, u.host.n};
	if (*host.p == '[')
		host = (struct pl){host.p + 1, host.l - 2};

	return !sa_set(&sa, &host, u.port) && sa_cmp(&sa, src, SA_ADDR) &&
	       u.port != sa_port(src);
}

/**
 * The hop to an address
 *
 * @return 0 or EINVAL
 */
int next_hop_to_address(struct next_hop *hop, const struct sa *peer,
			enum sip_transp tp)
{
	struct pl pl;

	(void)re_snprintf(hop->text, sizeof(hop->text), "sip:%J;transport=%s",
			  peer,
			  tp == SIP_TRANSP_UDP	 ? "udp"
			  : tp == SIP_TRANSP_TLS ? "tls"
						 : "tcp");
	pl_set_str(&pl, hop->text);

	return uri_decode(&hop->route, &pl) ? EINVAL : 0;
}

/**
 * The hop over a flow
 *
 * @return 0, ENOTCONN where the flow has gone or is another process's, EINVAL
 */
int next_hop_over_flow(struct next_hop *hop, const struct flow_table *ft,
		       const char *flow)
{
	enum sip_transp tp;
	struct sa peer;

	if (flow_find(&peer, &tp, ft, flow))
		return ENOTCONN;

	return next_hop_to_address(hop, &peer, tp);
}

static int take_first(struct uri *first, const char *uri, const char *route)
{
	struct nameaddr na;
	struct pl pl;
	int err;

	pl_set_str(&pl, route ? route : uri);
	if (route) {
		err = nameaddr_take(&na, &pl);
		if (err)
			return err;
		pl = na.uri;
	}

	return uri_decode(first, &pl);
}

/**
 * The hop to a Request-URI itself, or to the first of its routes.  A request
 * that needs TLS gets it, whatever the URI says of its transport.
 *
 * @param route Route values, NULL for none
 */
int next_hop_to_uri(struct next_hop *hop, const char *uri, const char *route)
{
	const int err = take_first(&hop->route, uri, route);

	if (err)
		return err;

	/* no need to ask DNS for this name (RFC 6761 section 6.3) */
	if (!pl_strcasecmp(&hop->route.host, "localhost"))
		pl_set_str(&hop->route.host, "127.0.0.1");

	/* libre knows no sips: but it knows TLS */
	if (next_hop_needs_tls(uri, NULL) ||
	    !pl_strcasecmp(&hop->route.scheme, "sips")) {
		pl_set_str(&hop->route.scheme, "sip");
		next_hop_set_transport(hop, ";transport=tls");
	}

	return 0;
}

/**
 * Whom next_hop_to_uri goes to
 *
 * @param host Set to a name or an IP address, as it is written; borrows from
 *             the others
 */
int next_hop_host(struct pl *host, const char *uri, const char *route)
{
	struct uri first;
	const int err = take_first(&first, uri, route);

	if (!err)
		*host = first.host;

	return err;
}

bool next_hop_has_transport(const struct next_hop *hop)
{
	struct pl val;

	return !msg_param_decode(&hop->route.params, "transport", &val);
}

/** @param params The parameters in the place of the URI's own */
void next_hop_set_transport(struct next_hop *hop, const char *params)
{
	pl_set_str(&hop->route.params, params);
}
