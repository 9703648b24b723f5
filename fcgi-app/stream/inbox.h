/*
 * inbox.h: messages for an account's streams in this process: read once,
 * written to all, and marked as delivered once they were to one.
 */
#ifndef RESTSIP_STREAM_INBOX_H
#define RESTSIP_STREAM_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/db.h"

enum {
	INBOX_PAGE = 16,	 /* messages a read; one has 64 KiB at most */
	INBOX_CONFIRM_MAX = 200, /* a call */
};

struct inbox;
struct resource;
struct viewer;

/** The inbox of a login. @return null without memory */
struct inbox *inbox_new(struct resource *r, int64_t account);

/** Whether nothing is under way and nobody there; then it may be freed. */
bool inbox_is_idle(const struct inbox *b);
void inbox_free(struct inbox *b);

/** Let its resource go, if it was the last that held it. */
void inbox_release(struct inbox *b);

void inbox_attach(struct inbox *b, struct viewer *v);
void inbox_detach(struct viewer *v);

/** Something may have come: read it for those who keep up. */
void inbox_bell(struct inbox *b);

/** It was written to a stream. */
void inbox_confirm(struct inbox *b, int64_t number);

/** The number that all have that keep up; negative: nobody does. */
int64_t inbox_head(const struct inbox *b);

/** Say again what could not be said. */
void inbox_retry(struct inbox *b);

/** Read for one that is behind; it goes on by viewer_step(). */
void inbox_load(struct viewer *v);

/** It gets nothing more of what is read for all. */
void inbox_fall_behind(struct viewer *v);

#endif
