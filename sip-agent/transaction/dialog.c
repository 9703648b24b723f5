/*
 * From a message or a row to the values of its dialog, and from those to the
 * headers of a request within it.
 */
#include "transaction/dialog.h"

#include <errno.h>
#include <string.h>

#include "common/json_write.h"
#include "common/pgres.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/route.h"
#include "parse/uri.h"
#include "pg/pgval.h"

/* --- from messages -------------------------------------------------------- */

static int read_ends(struct pl *from, struct pl *to, struct dialog *d,
		     const struct sip_msg *msg)
{
	struct nameaddr na;

	*d = (struct dialog){
		.call_id = msg->callid,
		.local_cseq = DIALOG_NO_CSEQ,
		.remote_cseq = DIALOG_NO_CSEQ,
	};
	if (nameaddr_decode(&na, hdr_get(msg, HDR_FROM)))
		return EBADMSG;
	*from = na.uri;
	if (nameaddr_decode(&na, hdr_get(msg, HDR_TO)))
		return EBADMSG;
	*to = na.uri;

	if (!hdr_count(msg, HDR_CONTACT))
		return 0;
	if (nameaddr_decode(&na, hdr_get(msg, HDR_CONTACT)) || na.star)
		return EBADMSG;
	d->remote_target = na.uri;

	return 0;
}

/**
 * The dialog that a request makes or is within, seen from the server (section
 * 12.1.1)
 *
 * @param d Set; local_tag only where the request has one, route and
 *          local_target not; borrows from the request
 *
 * @return 0 or EBADMSG
 */
int dialog_of_request(struct dialog *d, const struct sip_msg *msg)
{
	struct pl from, to;
	int err;

	err = read_ends(&from, &to, d, msg);
	if (err)
		return err;

	d->remote_uri = from;
	d->local_uri = to;
	d->remote_tag = msg->from.tag;
	d->local_tag = msg->to.tag;
	d->remote_cseq = msg->cseq.num;

	return 0;
}

/**
 * The dialog that an answer makes, seen from the client (section 12.1.2)
 *
 * @param d Set, route and local_target not; borrows from the answer
 *
 * @return 0, EBADMSG where it makes none: it has no tag or no Contact
 */
int dialog_of_answer(struct dialog *d, const struct sip_msg *msg)
{
	struct pl from, to;
	int err;

	err = read_ends(&from, &to, d, msg);
	if (err)
		return err;
	if (!pl_isset(&msg->to.tag) || !pl_isset(&d->remote_target))
		return EBADMSG;

	d->local_uri = from;
	d->remote_uri = to;
	d->local_tag = msg->from.tag;
	d->remote_tag = msg->to.tag;
	d->local_cseq = msg->cseq.num;

	return 0;
}

/**
 * The route set that a message gives its dialog, from the Record-Route of the
 * request or of the answer
 *
 * @param routep Set to it, owned by the caller; NULL where there is none
 *
 * @return 0, EBADMSG or ENOMEM
 */
int dialog_route(char **routep, const struct sip_msg *msg)
{
	char *route;
	int err;

	err = route_read(&route, msg, HDR_RECORD_ROUTE);
	if (err || msg->req || !route) {
		*routep = err ? NULL : route;
		return err;
	}

	err = route_reverse(routep, route);
	mem_deref(route);

	return err;
}

/* --- rows ----------------------------------------------------------------- */

static void take(struct pl *pl, const struct pg_answer *ans, int row,
		 const char *column)
{
	const char *text = pgres_text(ans->res, row, column);

	*pl = pl_null;
	if (text && *text)
		pl_set_str(pl, text);
}

static int64_t take_cseq(const struct pg_answer *ans, int row,
			 const char *column)
{
	return pgres_null(ans->res, row, column)
		       ? DIALOG_NO_CSEQ
		       : pgres_int(ans->res, row, column);
}

/**
 * The dialog of a row: its columns are called as the members are, the CSeq
 * that is to be used now is cseq
 *
 * @param d Set; borrows from the answer
 */
void dialog_of_row(struct dialog *d, const struct pg_answer *ans, int row)
{
	take(&d->call_id, ans, row, "call_id");
	take(&d->local_tag, ans, row, "local_tag");
	take(&d->remote_tag, ans, row, "remote_tag");
	take(&d->local_uri, ans, row, "local_uri");
	take(&d->remote_uri, ans, row, "remote_uri");
	take(&d->local_target, ans, row, "local_target");
	take(&d->remote_target, ans, row, "remote_target");
	take(&d->route, ans, row, "route");
	d->local_cseq = take_cseq(ans, row, "cseq");
	d->remote_cseq = take_cseq(ans, row, "remote_cseq");
}

static void put(struct buf *b, const char *key, const struct pl *pl)
{
	if (!pl_isset(pl))
		return;
	json_key(b, key);
	json_str(b, pl->p, pl->l);
}

/** Write the values that are set as members of a JSON object, for the database
 * */
void dialog_json(struct buf *b, const struct dialog *d)
{
	put(b, "call_id", &d->call_id);
	put(b, "local_tag", &d->local_tag);
	put(b, "remote_tag", &d->remote_tag);
	put(b, "local_uri", &d->local_uri);
	put(b, "remote_uri", &d->remote_uri);
	put(b, "local_target", &d->local_target);
	put(b, "remote_target", &d->remote_target);
	put(b, "route", &d->route);
	if (d->local_cseq != DIALOG_NO_CSEQ)
		json_member_int(b, "local_cseq", d->local_cseq);
	if (d->remote_cseq != DIALOG_NO_CSEQ)
		json_member_int(b, "remote_cseq", d->remote_cseq);
}

/* --- requests within it --------------------------------------------------- */

/** Whether a request is within it (section 12.2.2) */
bool dialog_has(const struct dialog *d, const struct sip_msg *msg)
{
	return !pl_cmp(&d->call_id, &msg->callid) &&
	       !pl_cmp(&d->local_tag, &msg->to.tag) &&
	       !pl_cmp(&d->remote_tag, &msg->from.tag);
}

/** Whether a request is no earlier than the last one; otherwise the answer is
    500 (section 12.2.2).  The same number once more is a repeat, or an ACK */
bool dialog_is_in_order(const struct dialog *d, const struct sip_msg *msg)
{
	return (int64_t)msg->cseq.num >= d->remote_cseq;
}

static int request_uri(char **urip, const struct pl *target)
{
	char *text;
	int err;

	err = pl_strdup(&text, target);
	if (err)
		return err;

	err = uri_of_contact(urip, text);
	mem_deref(text);

	return err;
}

static bool is_loose(const struct nameaddr *na)
{
	struct uri uri;
	struct pl val;

	return !uri_decode(&uri, &na->uri) &&
	       !msg_param_exists(&uri.params, "lr", &val);
}

/* A router of RFC 2543 wants its own URI as the Request-URI, and the last of
   the routes to be the target */
static int strict_way(char **urip, char **routep, const struct dialog *d,
		      const struct pl *first, const struct pl *rest)
{
	int err;

	err = request_uri(urip, first);
	if (!err)
		err = re_sdprintf(routep, "%r%s<%r>", rest, rest->l ? ", " : "",
				  &d->remote_target);

	return err;
}

/**
 * The Request-URI and the Route of a request within the dialog (section
 * 12.2.1.1)
 *
 * @param urip   Set to the URI, owned by the caller
 * @param routep Set to the route, owned by the caller; NULL: none
 *
 * @return 0, EINVAL where one of them cannot be written, or ENOMEM
 */
int dialog_way(char **urip, char **routep, const struct dialog *d)
{
	struct pl rest = d->route;
	struct nameaddr first;
	int err;

	*urip = *routep = NULL;
	if (!pl_isset(&d->route))
		return request_uri(urip, &d->remote_target);
	if (!uri_is_line(&d->route) || !uri_is_line(&d->remote_target) ||
	    nameaddr_take(&first, &rest))
		return EINVAL;

	if (is_loose(&first)) {
		err = request_uri(urip, &d->remote_target);
		if (!err)
			err = pl_strdup(routep, &d->route);
	} else {
		err = strict_way(urip, routep, d, &first.uri, &rest);
	}
	if (err)
		*urip = mem_deref(*urip);

	return err;
}

static bool is_sound(const struct dialog *d)
{
	return uri_is_line(&d->call_id) && uri_is_line(&d->local_tag) &&
	       uri_is_line(&d->remote_tag) && uri_is_line(&d->local_uri) &&
	       uri_is_line(&d->remote_uri) && uri_is_line(&d->local_target);
}

/**
 * Write the headers that a request within the dialog has for it, under
 * local_cseq
 *
 * @param route Of dialog_way, NULL for none
 *
 * @return 0, EINVAL where something would end its line, or ENOMEM
 */
int dialog_write(struct mbuf *mb, const struct dialog *d, const char *method,
		 const char *route)
{
	int err;

	if (!is_sound(d))
		return EINVAL;

	err = mbuf_write_str(mb, "Max-Forwards: 70\r\n");
	if (route)
		err |= mbuf_printf(mb, "Route: %s\r\n", route);
	err |= mbuf_printf(mb,
			   "To: <%r>;tag=%r\r\n"
			   "From: <%r>;tag=%r\r\n"
			   "Call-ID: %r\r\n"
			   "CSeq: %lld %s\r\n"
			   "Contact: <%r>\r\n",
			   &d->remote_uri, &d->remote_tag, &d->local_uri,
			   &d->local_tag, &d->call_id, d->local_cseq, method,
			   &d->local_target);

	return err ? ENOMEM : 0;
}
