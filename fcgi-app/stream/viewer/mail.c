/*
 * mail.c: messages to the owner of a login, on his stream.
 */
#include "stream/viewer/mail.h"

#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "stream/viewer/catch_up.h"
#include "stream/viewer/tell.h"

/* ---- that it was written ---- */

static void ack_add(struct mail *mail, int64_t inbox)
{
	if (mail->nacks == mail->acks_size) {
		uint32_t size = mail->acks_size ? 2 * mail->acks_size : 8;
		struct ack *acks = realloc(mail->acks, size * sizeof(*acks));

		if (!acks)
			return; /* it will be shown again */
		mail->acks = acks;
		mail->acks_size = size;
	}
	mail->acks[mail->nacks++] = (struct ack){
		.position = stream_position(mail->viewer->stream),
		.inbox = inbox,
	};
}

void mail_sent(struct viewer *v)
{
	struct mail *mail = v->mail;
	uint64_t sent;
	uint32_t n = 0;

	if (!mail->nacks || !v->stream)
		return;
	sent = stream_sent(v->stream);
	while (n < mail->nacks && mail->acks[n].position <= sent)
		inbox_confirm(mail->seat.inbox, mail->acks[n++].inbox);
	mail->nacks -= n;
	if (!n)
		return;
	memmove(mail->acks, mail->acks + n, mail->nacks * sizeof(*mail->acks));
	if (mail->nacks)
		return;
	free(mail->acks);
	mail->acks = NULL;
	mail->acks_size = 0;
}

/* ---- writing ---- */

/* @return false: its queue is full */
static bool write_message(struct viewer *v, int64_t number, const char *data,
			  size_t n, uint64_t event)
{
	if (viewer_is_full(v))
		return false;
	v->mail->seat.at = number;
	viewer_write(v, "message", v->seat.version != 0, data, n, event);
	ack_add(v->mail, number);
	mail_sent(v);
	return true;
}

static struct viewer *owner_of(struct inbox_seat *s)
{
	const struct mail *mail = (struct mail *)((char *)s -
						  offsetof(struct mail, seat));

	return mail->viewer;
}

/* Not to who has no place for it: it is soon over. */
void mail_composing(struct inbox_seat *s, const char *data, size_t n,
		    uint64_t event)
{
	struct viewer *v = owner_of(s);

	if (v->state == VIEWER_LIVE && !viewer_is_full(v))
		viewer_write(v, "composing", false, data, n, event);
}

bool mail_message(struct inbox_seat *s, int64_t number, const char *data,
		  size_t n, uint64_t event)
{
	struct viewer *v = owner_of(s);
	bool fits = write_message(v, number, data, n, event);

	if (!fits && v->state == VIEWER_LIVE)
		viewer_move(v, VIEWER_BEHIND);
	return fits;
}

/* ---- reading what it missed ---- */

/* The client has come back with a number: that confirms all messages up to it,
   even if we died before we could say so. @return whether it has all there is
   */
static bool check(struct viewer *v, const struct pg_answer *a, int64_t head)
{
	struct inbox_seat *s = &v->mail->seat;
	int rows = inbox_rows(a);

	s->check = false;
	if (s->at > head) {
		s->at = -1; /* that was no number of ours */
		s->fresh = true;
		return false;
	}
	for (int i = 0; i < rows; i++)
		if (inbox_number(a, i) <= s->at)
			inbox_confirm(s->inbox, inbox_number(a, i));
	return s->at == head;
}

/* @return whether all of the page was written */
static bool replay(struct viewer *v, const struct pg_answer *a)
{
	int rows = inbox_rows(a);

	for (int i = 0; i < rows; i++) {
		int64_t number = inbox_number(a, i);
		struct buf data;
		bool fits = true;

		if (!viewer_has_begun(v))
			return false;
		if (number <= v->mail->seat.at)
			continue;
		inbox_render(&data, a, i);
		if (!data.failed)
			fits = write_message(v, number, data.p, data.len,
					     ++v->all->place->events);
		buf_free(&data);
		if (!fits)
			return false;
	}
	return rows < INBOX_PAGE;
}

/* Now the number of the last message before those that it lacks is known. */
static void number(struct viewer *v, const struct pg_answer *a, int64_t head)
{
	v->mail->seat.at = inbox_rows(a) ? inbox_number(a, 0) - 1 : head;
	if (v->state == VIEWER_NUMBER)
		catch_up_numbered(v);
}

static void on_read(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;
	struct inbox_seat *s = &v->mail->seat;
	int64_t head;

	if (!viewer_answered(v, a))
		return;
	head = pgres_int(a->res, 0, "head");
	if (s->check && !check(v, a, head)) {
		viewer_next(v); /* reads from there on */
		return;
	}
	if (s->at < 0)
		number(v, a, head);
	if (viewer_has_begun(v) && s->behind && replay(v, a)) {
		if (s->at < head)
			s->at = head;
		inbox_join(s);
	}
	viewer_next(v);
}

void mail_load(struct viewer *v)
{
	v->query = inbox_ask(&v->mail->seat, on_read, v);
}
