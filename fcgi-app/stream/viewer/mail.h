/*
 * mail.h: messages to the owner of a login, on his stream: what he missed, what
 * comes, and that it was written.
 */
#ifndef RESTSIP_STREAM_MAIL_H
#define RESTSIP_STREAM_MAIL_H

#include "stream/viewer/state.h"

/** As reader and inbox_ops. */
void mail_load(struct viewer *v);
void mail_sent(struct viewer *v);
bool mail_message(struct inbox_seat *s, int64_t number, const char *data,
		  size_t n, uint64_t event);
void mail_composing(struct inbox_seat *s, const char *data, size_t n,
		    uint64_t event);

#endif
