#include "json.h"

/** Write a string with its quotes; whether it is UTF-8 is checked later */
int json_write_pl(struct mbuf *mb, const struct pl *pl)
{
	int err = mbuf_write_u8(mb, '"');

	for (size_t i = 0; i < pl->l && !err; i++) {
		const unsigned char c = (unsigned char)pl->p[i];

		if (c == '"' || c == '\\')
			err = mbuf_printf(mb, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			err = mbuf_printf(mb, "\\u%04x", c);
		else
			err = mbuf_write_u8(mb, c);
	}
	if (!err)
		err = mbuf_write_u8(mb, '"');

	return err;
}

int json_write_str(struct mbuf *mb, const char *s)
{
	struct pl pl;

	pl_set_str(&pl, s);

	return json_write_pl(mb, &pl);
}
