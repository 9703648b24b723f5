/*
 * imdn.h: receipts of messages (RFC 5438), as such or within a message/cpim.
 */
#ifndef RESTSIP_IMDN_H
#define RESTSIP_IMDN_H

#include <stdbool.h>
#include <stddef.h>

enum {
	IMDN_ID_MAX = 256,
};

struct imdn {
	bool is_receipt; /* no message for people */
	/* "delivered", "displayed"; null: something else, as that it failed */
	const char *status;
	/* of a receipt: the message that it is for; else of the message itself,
	   as its message/cpim says; "": none */
	char message_id[IMDN_ID_MAX + 1];
};

/**
 * What a message is.
 *
 * @param type  its media type, of n bytes
 * @param why   what is wrong, a sentence without its full stop, on EBADMSG
 * @return 0, EBADMSG (a receipt that nobody can read), ENOMEM
 */
int imdn_read(struct imdn *out, const char *type, size_t type_len,
	      const char *p, size_t n, const char **why);

#endif
