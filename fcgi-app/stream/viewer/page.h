/*
 * page.h: a viewer of a list: its first page, and then single items.
 */
#ifndef RESTSIP_STREAM_PAGE_H
#define RESTSIP_STREAM_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/hub/list.h"
#include "stream/viewer/state.h"

/**
 * @param at     midway in the log, where the client comes back; null: not
 * @param after  null: the page is the first
 * @return null without memory
 */
struct page *page_new(const struct list_at *at, const char *after, int limit);

/** As reader and topic_ops. */
void page_load(struct viewer *v);
void page_id(char out[static RENDER_ID_SIZE], const struct viewer *v,
	     int64_t version);
bool page_is_partial(const struct viewer *v);
void page_item(struct seat *s, const struct item *item);
void page_advanced(struct seat *s, int64_t upto);
void page_restart(struct seat *s);

#endif
