/*
 * The relay never recodes: what both ends can speak is theirs to agree on. What
 * it is asked for each way was tried with Chromium and plain phones.
 */
#include "media/ngword.h"

#include <errno.h>
#include <string.h>

#include "media/bencode.h"
#include "media/ng.h"
#include "pg/pgval.h"

/* The two sides, by the tags that the relay knows them by */
static const char tag_phone[] = "phone", tag_call[] = "call";

/**
 * Begin to ask something of a session; the caller ends it with an e
 *
 * @param ask Initialized here
 */
void ngword_about(struct buf *ask, const char *command, const char *id)
{
	buf_init(ask, NG_BODY_MAX);
	buf_char(ask, 'd');
	bencode_member(ask, "command", command);
	bencode_member(ask, "call-id", id);
}

static void write_flags(struct buf *b, bool is_offer, bool web)
{
	bencode_member(b, "ICE", web ? "force" : "remove");
	/* What speaks to a page before its call has an answer is taken for
	   whoever does answer: another's page, to which the relay's DTLS hello
	   is a false start */
	if (is_offer)
		bencode_member(b, web ? "DTLS" : "DTLS-reverse", "passive");
	if (web)
		bencode_member(b, "transport-protocol", "UDP/TLS/RTP/SAVPF");
	else if (is_offer) /* an answer is as its offer was */
		bencode_member(b, "transport-protocol", "RTP/AVP");
	if (!web) {
		bencode_words(b, "rtcp-mux", "demux");
		bencode_words(b, "replace", "origin session-connection");
	} else if (!is_offer) {
		bencode_words(b, "rtcp-mux", "accept");
	} else {
		bencode_words(b, "rtcp-mux", "offer require");
		bencode_words(b, "flags", "SDES-off generate-mid");
	}
}

/**
 * Write that an SDP is to be put into the other side's words
 *
 * @param ask Initialized here
 */
void ngword_say(struct buf *ask, const struct ngword *word)
{
	const bool of_offerer = word->of_phone == word->is_offer;

	ngword_about(ask, word->is_offer ? "offer" : "answer", word->id);
	bencode_member(ask, "from-tag", of_offerer ? tag_phone : tag_call);
	if (!word->is_offer || word->known)
		bencode_member(ask, "to-tag",
			       of_offerer ? tag_call : tag_phone);
	write_flags(ask, word->is_offer, word->to_web);
	bencode_str(ask, "sdp");
	bencode_mem(ask, word->sdp.p, word->sdp.l);
	buf_char(ask, 'e');
}

static bool is_sdp(const struct pl *sdp)
{
	return sdp->l && sdp->l <= NGWORD_SDP_MAX &&
	       !strncmp(sdp->p, "v=0", MIN(sdp->l, 3)) &&
	       memmem(sdp->p, sdp->l, "\nm=", 3) && pg_is_text(sdp->p, sdp->l);
}

/**
 * The SDP of an answer
 *
 * @param sdp Borrowed of dict
 *
 * @return 0, ENOTSUP where the relay refuses, EBADMSG where it has none
 */
int ngword_heard(struct pl *sdp, const struct pl *dict)
{
	struct pl result;

	if (bencode_find(&result, dict, "result"))
		return EBADMSG;
	if (pl_strcmp(&result, "ok"))
		return ENOTSUP;

	return !bencode_find(sdp, dict, "sdp") && is_sdp(sdp) ? 0 : EBADMSG;
}
