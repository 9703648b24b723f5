/*
 * viewer.c: the states of a viewer, and what it does next.
 *
 * The end of one viewer may end others, in the middle of a walk over them or of
 * a call of their own. So only the reaper, called from the loop, frees viewers
 * and takes them from their seats: every other function can go on with its
 * viewer, and sees from the state what has become of it.
 */
#include "stream/viewer/viewer.h"

#include <stdlib.h>

#include "common/log.h"
#include "shared/loop.h"
#include "stream/hub/inbox.h"
#include "stream/hub/proof.h"
#include "stream/viewer/state.h"

#define BIT(state) (1u << VIEWER_##state)

/* From each state to which. */
static const uint16_t steps[VIEWER_STATES] = {
	[VIEWER_ASKING] = BIT(TURN) | BIT(ENDING) | BIT(DEAD),
	[VIEWER_TURN] = BIT(ASKING) | BIT(LOADING) | BIT(ENDING) | BIT(DEAD),
	[VIEWER_LOADING] = BIT(ASKING) | BIT(TURN) | BIT(NUMBER) | BIT(HELD) |
			   BIT(BEHIND) | BIT(ENDING) | BIT(DEAD),
	[VIEWER_NUMBER] = BIT(ASKING) | BIT(TURN) | BIT(BEHIND) | BIT(ENDING) |
			  BIT(DEAD),
	[VIEWER_HELD] = BIT(ASKING) | BIT(LOADING) | BIT(DEAD),
	[VIEWER_BEHIND] = BIT(READING) | BIT(LIVE) | BIT(REOPENING) |
			  BIT(CHECKING) | BIT(ENDING) | BIT(DEAD),
	[VIEWER_READING] = BIT(BEHIND) | BIT(REOPENING) | BIT(CHECKING) |
			   BIT(ENDING) | BIT(DEAD),
	[VIEWER_LIVE] = BIT(BEHIND) | BIT(REOPENING) | BIT(CHECKING) |
			BIT(ENDING) | BIT(DEAD),
	[VIEWER_REOPENING] = BIT(BEHIND) | BIT(CHECKING) | BIT(ENDING) |
			     BIT(DEAD),
	[VIEWER_CHECKING] = BIT(BEHIND) | BIT(ENDING) | BIT(DEAD),
	[VIEWER_ENDING] = BIT(DEAD),
};

/* ---- moving ---- */

static void fall_behind(struct viewer *v)
{
	seat_fall_behind(&v->seat);
	if (v->mail)
		inbox_fall_behind(&v->mail->seat);
}

static void forget_query(struct viewer *v)
{
	if (v->query)
		db_forget(v->query);
	v->query = NULL;
}

static void reap(void *arg)
{
	struct viewers *all = arg;

	while (all->leaving) {
		struct viewer *v = all->leaving;

		all->leaving = v->leaving_next;
		v->leaving = false;
		seat_detach(&v->session);
		viewer_part(v);
		if (v->state == VIEWER_DEAD)
			viewer_destroy(v);
		else /* what it was sent is still to be confirmed */
			seat_detach(&v->seat);
	}
}

static void reap_later(struct viewer *v)
{
	struct viewers *all = v->all;

	if (!v->leaving) {
		v->leaving = true;
		v->leaving_next = all->leaving;
		all->leaving = v;
	}
	if (!loop_pending(&all->reap))
		loop_after(all->place->loop, &all->reap, 0, reap, all);
}

void viewer_move(struct viewer *v, enum viewer_state to)
{
	if (!(steps[v->state] & 1u << to)) {
		log_error("viewer_step", LOG_INT("from", v->state),
			  LOG_INT("to", to));
		return;
	}
	if (v->state == VIEWER_NUMBER) {
		free(v->mail->first_doc);
		v->mail->first_doc = NULL;
	}
	v->state = (uint8_t)to;
	switch (to) {
	case VIEWER_ASKING:
	case VIEWER_CHECKING:
		forget_query(v);
		fall_behind(v);
		break;
	case VIEWER_REOPENING:
		forget_query(v);
		break;
	case VIEWER_ENDING:
	case VIEWER_DEAD:
		forget_query(v);
		fall_behind(v);
		opening_forget(v->opening);
		v->opening = NULL;
		reap_later(v);
		break;
	default:
		break;
	}
}

void viewer_fall_behind(struct viewer *v)
{
	seat_fall_behind(&v->seat);
	if (v->state == VIEWER_LIVE)
		viewer_move(v, VIEWER_BEHIND);
}

/* ---- what it does next ---- */

void viewer_join(struct viewer *v)
{
	if (!v->seat.behind || (v->page && v->page->upto))
		return;
	(void)seat_join(&v->seat); /* else it reads once more */
}

/* Read, for the first time or once more. */
static void load(struct viewer *v)
{
	seat_reads(&v->seat);
	reader_of(v)->load(v);
	if (v->query)
		viewer_move(v, VIEWER_LOADING);
}

/* What it lacks, its resource first. */
static void read_on(struct viewer *v)
{
	if (v->seat.behind) {
		seat_reads(&v->seat);
		reader_of(v)->load(v);
	} else if (v->mail && v->mail->seat.behind)
		reader_of(v)->load_inbox(v);
	else
		viewer_move(v, VIEWER_LIVE);
	if (v->query)
		viewer_move(v, VIEWER_READING);
}

void viewer_next(struct viewer *v)
{
	const struct outlet_ops *outlet = v->outlet;

	if (v->query || !v->all->place->db)
		return;
	if (v->stream && stream_pending(v->stream) > STREAM_QUEUE_LOW)
		return;
	switch ((enum viewer_state)v->state) {
	case VIEWER_TURN:
		if (!outlet->may_load || outlet->may_load(v))
			load(v);
		break;
	case VIEWER_HELD:
		if (v->seat.behind)
			load(v);
		break;
	case VIEWER_NUMBER:
		reader_of(v)->load_inbox(v);
		break;
	case VIEWER_BEHIND:
		read_on(v);
		break;
	case VIEWER_ASKING:
	case VIEWER_LOADING:
	case VIEWER_READING:
	case VIEWER_LIVE:
	case VIEWER_REOPENING:
	case VIEWER_CHECKING:
	case VIEWER_ENDING:
	case VIEWER_DEAD:
	case VIEWER_STATES:
		break;
	}
}

/* ---- its end ---- */

static void mail_free(struct mail *mail)
{
	if (!mail)
		return;
	inbox_detach(&mail->seat);
	free(mail->first_doc);
	free(mail->acks);
	free(mail);
}

static void page_free(struct page *page)
{
	if (!page)
		return;
	free(page->after);
	free(page->last);
	free(page);
}

void viewer_part(struct viewer *v)
{
	if (v->part)
		seat_detach(v->part);
	free(v->part);
	v->part = NULL;
}

void viewer_destroy(struct viewer *v)
{
	if (v->query)
		db_forget(v->query);
	opening_forget(v->opening);
	mail_free(v->mail);
	seat_detach(&v->seat);
	seat_detach(&v->session);
	viewer_part(v);
	*v->prev = v->next;
	if (v->next)
		v->next->prev = v->prev;
	v->all->count--;
	proof_free(v->proof);
	page_free(v->page);
	free(v->key);
	free(v);
}

void viewer_free(struct viewer *v)
{
	if (v && v->state != VIEWER_DEAD)
		viewer_move(v, VIEWER_DEAD);
}

void viewer_leave(struct viewer *v)
{
	if (v->state < VIEWER_ENDING)
		viewer_move(v, VIEWER_ENDING);
}

/* ---- for outlets ---- */

void viewer_moved(struct viewer *v)
{
	if (v->mail)
		reader_of(v)->sent(v);
	viewer_next(v);
}

void viewer_closed(struct viewer *v)
{
	if (v->mail)
		reader_of(v)->sent(v);
	v->stream = NULL;
	viewer_free(v);
}

void *viewer_arg(const struct viewer *v)
{
	return v->arg;
}

struct proof *viewer_proof(const struct viewer *v)
{
	return v->proof;
}

struct place *viewer_place(const struct viewer *v)
{
	return v->all->place;
}

enum format viewer_format(const struct viewer *v)
{
	return v->format;
}

void viewer_set_stream(struct viewer *v, struct stream *stream)
{
	v->stream = stream;
}

struct stream *viewer_stream(const struct viewer *v)
{
	return v->stream;
}

uint32_t viewer_ends_s(const struct viewer *v)
{
	return v->ends_s;
}

struct frame *viewer_frame(const struct viewer *v)
{
	return &v->all->frame;
}

bool viewer_has_inbox(const struct viewer *v)
{
	return v->mail;
}

void viewer_id(char out[static RENDER_ID_SIZE], const struct viewer *v,
	       int64_t version)
{
	reader_of(v)->id(out, v, version ? version : v->seat.version);
}

bool viewer_place_id(char out[static RENDER_ID_SIZE], const struct viewer *v)
{
	const struct reader *reader = reader_of(v);

	if (!viewer_has_begun(v) || !v->seat.version ||
	    (reader->is_partial && reader->is_partial(v)))
		return false;
	viewer_id(out, v, 0);
	return true;
}

bool viewer_inbox_id(char out[static RENDER_ID_SIZE], const struct viewer *v)
{
	if (!v->mail || v->mail->seat.at < 0)
		return false;
	render_id(out, 0, v->mail->seat.at);
	return true;
}
