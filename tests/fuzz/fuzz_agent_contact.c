/*
 * The contacts of a REGISTER, and the JSON that the database is given.
 */
#include "fuzz.h"

#include <yajl/yajl_tree.h>

#include "common/utf8.h"
#include "parse/sanity.h"
#include "registrar/contact.h"
#include "settings.h"

static struct settings *set;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	HOLDS(!settings_alloc(&set, NULL));

	return 0;
}

static void decode(const struct sip_msg *msg)
{
	struct contact_set cs;
	const char *why;

	if (!contact_set_decode(&cs, msg, set, &why)) {
		HOLDS(cs.count <= CONTACTS_MAX && !cs.json.failed);
		HOLDS(!memchr(cs.json.p, '\n', cs.json.len));
		HOLDS(cs.json.p[0] == '[' && cs.json.p[cs.json.len - 1] == ']');
	}
	contact_set_close(&cs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] =
		"REGISTER sip:a SIP/2.0\r\n"
		"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
		"To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\nContact: ";
	struct mbuf *mb = mbuf_alloc(sizeof(head) + size + 4);
	struct sip_msg *msg;
	struct sanity m;

	HOLDS(mb && !mbuf_write_str(mb, head) &&
	      !mbuf_write_mem(mb, data, size) &&
	      !mbuf_write_str(mb, "\r\n\r\n"));
	mbuf_set_pos(mb, 0);
	(void)sanity_parse(&m, (const char *)mb->buf, mb->end);
	if (!m.scode && !sip_msg_decode(&msg, mb)) {
		decode(msg);
		mem_deref(msg);
	}
	mem_deref(mb);

	return 0;
}
