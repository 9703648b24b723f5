/*
 * The 200 of a REGISTER: all bindings, as they are after the commit (RFC 3261
 * section 10.3 item 8).
 */
#include "registrar/bindings.h"

#include <string.h>
#include <time.h>

#include "parse/hdr.h"
#include "parse/uri.h"
#include "pg/pgloop.h"
#include "transaction/uas.h"

enum {
	FLOW_TIMER_S = 120, /* RFC 5626 section 4.4.1 */
};

/* What a flow of a device is told from others by (RFC 5626 section 6) */
static int write_device(struct mbuf *mb, const struct pg_answer *ans, int row)
{
	const char *instance = pgres_text(ans->res, row, "instance");
	int err;

	if (!instance || strpbrk(instance, "\r\n"))
		return 0;

	/* as it came, between its quotes */
	err = mbuf_printf(mb, ";+sip.instance=\"%s\"", instance);
	if (pgres_text(ans->res, row, "reg_id"))
		err |= mbuf_printf(mb, ";reg-id=%lld",
				   pgres_int(ans->res, row, "reg_id"));

	return err;
}

static int write_quoted(struct mbuf *mb, const char *text)
{
	int err = mbuf_write_u8(mb, '"');

	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			err |= mbuf_write_u8(mb, '\\');
		err |= mbuf_write_u8(mb, (uint8_t)*text);
	}

	return err | mbuf_write_str(mb, "\" ");
}

/* A column that goes into a header; NULL where it is not there, or would not
   stay on its line */
static const char *line_of(const struct pg_answer *ans, int row,
			   const char *column)
{
	const char *text = pgres_text(ans->res, row, column);
	struct pl pl;

	if (!text)
		return NULL;
	pl_set_str(&pl, text);

	return uri_is_line(&pl) ? text : NULL;
}

static int write_bindings(struct mbuf *mb, const struct pg_answer *ans, int row,
			  int rows)
{
	int err = 0;

	for (int i = row; i < row + rows && !err; i++) {
		const char *contact = pgres_text(ans->res, i, "contact");
		const char *q = pgres_text(ans->res, i, "q");
		const char *name = line_of(ans, i, "name");
		const char *params = line_of(ans, i, "params");

		if (!contact || strpbrk(contact, "\r\n<>\""))
			continue;
		err = mbuf_write_str(mb, "Contact: ");
		if (name)
			err |= write_quoted(mb, name);
		err |= mbuf_printf(mb, "<%s>;expires=%lld", contact,
				   pgres_int(ans->res, i, "expires"));
		if (q)
			err |= mbuf_printf(mb, ";q=%s", q);
		err |= write_device(mb, ans, i);
		if (params)
			err |= mbuf_write_str(mb, params);
		err |= mbuf_write_str(mb, "\r\n");
	}

	return err;
}

/* The path is told only to who understands it (RFC 3327 section 5.3) */
static int write_path(struct mbuf *mb, const struct sip_msg *msg,
		      const char *path)
{
	if (!path || !hdr_has_token(msg, HDR_SUPPORTED, "path"))
		return 0;

	return mbuf_printf(mb, "Path: %s\r\n", path);
}

/**
 * Answer 200 with all that is bound; 503 where there is no memory for that
 *
 * @param path     Values that are kept with what was bound, joined; NULL: none
 * @param outbound Whether a flow is bound (RFC 5626 section 6)
 */
void bindings_reply(struct uas *u, const struct pg_answer *ans, int row,
		    int rows, const char *path, bool outbound)
{
	struct mbuf *mb = mbuf_alloc(512);
	char *hdrs = NULL;
	time_t now = time(NULL);
	int err;

	if (!mb) {
		uas_refuse(u, 503);
		return;
	}

	err = write_bindings(mb, ans, row, rows);
	err |= mbuf_write_str(mb, UAS_ALLOW UAS_SUPPORTED);
	err |= write_path(mb, uas_msg(u), path);
	if (outbound)
		err |= mbuf_printf(mb,
				   "Require: outbound\r\n"
				   "Flow-Timer: %u\r\n",
				   FLOW_TIMER_S);
	err |= mbuf_printf(mb, "Date: %H\r\n", fmt_gmtime, &now);
	mbuf_set_pos(mb, 0);
	err |= mbuf_strdup(mb, &hdrs, mbuf_get_left(mb));
	if (err)
		uas_refuse(u, 503);
	else
		uas_reply(u, 200, NULL, "%s", hdrs);

	mem_deref(hdrs);
	mem_deref(mb);
}

/** Whether a contact stands once in an answer, whose first it is: behind two
    NATs two phones may have one and the same */
bool bindings_alone(const struct pg_answer *ans, int row, int rows)
{
	const char *contact = pgres_text(ans->res, row, "contact");

	for (int i = row + 1; i < row + rows; i++) {
		if (contact &&
		    !str_cmp(contact, pgres_text(ans->res, i, "contact")))
			return false;
	}

	return true;
}
