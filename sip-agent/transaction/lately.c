/*
 * Dialogs that have ended, by their Call-ID and our tag: what of them comes
 * late is nothing to wonder at.
 */
#include "transaction/lately.h"

static uint64_t key_of(const struct pl *call_id, const struct pl *tag)
{
	return (uint64_t)hash_joaat_pl(call_id) << 32 | hash_joaat_pl(tag);
}

static bool is_late(const struct lately *lt, const struct pl *call_id,
		    const struct pl *tag)
{
	const uint64_t key = key_of(call_id, tag);

	return lt->dialogv[key % LATELY_MAX].key == key &&
	       tmr_jiffies() < lt->dialogv[key % LATELY_MAX].until_ms;
}

/* Whether it was known */
static bool note(struct lately *lt, const struct pl *call_id,
		 const struct pl *tag)
{
	const bool was_known = is_late(lt, call_id, tag);
	const uint64_t key = key_of(call_id, tag);

	lt->dialogv[key % LATELY_MAX].key = key;
	lt->dialogv[key % LATELY_MAX].until_ms = tmr_jiffies() + LATELY_MS;

	return was_known;
}

/**
 * A dialog has ended: what of it comes late is nothing to wonder at
 *
 * @param tag Ours
 *
 * @return whether that was known
 */
bool lately_note(struct lately *lt, const char *call_id, const char *tag)
{
	struct pl call_pl, tag_pl;

	pl_set_str(&call_pl, call_id);
	pl_set_str(&tag_pl, tag);

	return note(lt, &call_pl, &tag_pl);
}

/**
 * A 2xx has come to an INVITE that is over, and was looked up
 *
 * @return whether another one had, of the same INVITE
 */
bool lately_note_answer(struct lately *lt, const struct sip_msg *msg)
{
	static const struct pl any = PL("2xx"); /* no tag of ours */

	(void)note(lt, &msg->callid, &msg->to.tag);

	return note(lt, &msg->callid, &any);
}

/** Whether the same 2xx was, until lately */
bool lately_was_answer(const struct lately *lt, const struct sip_msg *msg)
{
	return is_late(lt, &msg->callid, &msg->to.tag);
}

/** Whether a dialog was there until lately; our tag */
bool lately_was(const struct lately *lt, const char *call_id, const char *tag)
{
	struct pl call_pl, tag_pl;

	pl_set_str(&call_pl, call_id);
	pl_set_str(&tag_pl, tag);

	return is_late(lt, &call_pl, &tag_pl);
}

/** Whether a message is of a dialog that was there until lately */
bool lately_was_of(const struct lately *lt, const struct sip_msg *msg)
{
	return is_late(lt, &msg->callid,
		       msg->req ? &msg->to.tag : &msg->from.tag);
}
