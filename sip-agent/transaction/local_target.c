#include "transaction/local_target.h"

#include "agent.h"
#include "settings/ours.h"

static const char *transport(enum sip_transp tp)
{
	return tp == SIP_TRANSP_UDP   ? ""
	       : tp == SIP_TRANSP_TLS ? ";transport=tls"
				      : ";transport=tcp";
}

/**
 * The address that a request came to
 *
 * @param urip Set to it as a URI, owned by the caller
 *
 * @return 0 or errno
 */
int local_target_of(char **urip, const struct agent *ag,
		    const struct sip_msg *msg)
{
	/* a connection that we have opened ourselves has another one */
	if (!settings_is_own(ag->set, &msg->dst))
		return local_target_to(urip, ag, &msg->src, msg->tp);

	return re_sdprintf(urip, "sip:%J%s", &msg->dst, transport(msg->tp));
}

/** The address that a request goes from; as local_target_of */
int local_target_to(char **urip, const struct agent *ag, const struct sa *peer,
		    enum sip_transp tp)
{
	struct sa laddr;
	int err;

	err = sip_transp_laddr(ag->sip, &laddr, tp, peer);
	if (err)
		return err;

	return re_sdprintf(urip, "sip:%J%s", &laddr, transport(tp));
}

/** Write the Contact of a request that goes from an address */
int local_target_write(struct mbuf *mb, const struct sa *laddr,
		       enum sip_transp tp)
{
	return mbuf_printf(mb, "Contact: <sip:%J%s>\r\n", laddr, transport(tp));
}
