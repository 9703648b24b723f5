/*
 * The contacts of a REGISTER, and the JSON that the database is given.
 */
#include "fuzz_sound.h"

#include <yajl/yajl_tree.h>

#include "common/utf8.h"
#include "registrar/contact.h"
#include "settings/settings.h"

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
	fuzz_sound(FUZZ_HEAD("REGISTER") "Contact: ", data, size, decode);

	return 0;
}
