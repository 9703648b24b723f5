#include "stream/hub/composing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/aor.h"
#include "common/buf.h"
#include "common/json_write.h"
#include "stream/hub/inbox.h"
#include "stream/hub/topic_parts.h"

enum {
	PAYLOAD_MAX = 2 * AOR_BUF + 64,
};

/* The next word of a text, which is cut there; null: there is none. */
static char *take_word(char **text)
{
	char *word = *text, *blank;

	if (!word || !*word)
		return NULL;
	blank = strchr(word, ' ');
	if (blank)
		*blank++ = '\0';
	*text = blank;
	return word;
}

static bool render(struct buf *b, const char *from, const char *state,
		   const char *refresh)
{
	long refresh_s = refresh ? strtol(refresh, NULL, 10) : 0;

	if (!from || !state)
		return false;
	buf_char(b, '{');
	json_member(b, "from", from);
	json_member(b, "state", state);
	if (refresh_s > 0)
		json_member_int(b, "refresh", refresh_s);
	buf_char(b, '}');
	return !b->failed;
}

void composing_told(const struct topics *all, const char *payload)
{
	char name[PAYLOAD_MAX + sizeof("login/")];
	const char *rest = payload + strlen(COMPOSING_BELL);
	char *text, *from, *state;
	struct buf data;

	if (strlen(rest) >= PAYLOAD_MAX)
		return;
	(void)snprintf(name, sizeof(name), "login/%s", rest);
	text = name;
	take_word(&text);
	from = take_word(&text);
	state = take_word(&text);
	buf_init(&data, 2 * PAYLOAD_MAX);
	if (render(&data, from, state, take_word(&text)))
		for (struct topic *t = topic_first(all, name); t;
		     t = topic_next(t))
			if (t->inbox)
				inbox_composing(t->inbox, data.p, data.len);
	buf_free(&data);
}
