#include "common/presence/presence.h"

#include <errno.h>
#include <string.h>

#include "common/json_write.h"

const char *const presence_list_name[PRESENCE_LISTS] = {
	[PRESENCE_ACTIVITIES] = "activities",
	[PRESENCE_MOOD] = "mood",
	[PRESENCE_PLACE_TYPE] = "place_type",
};

const char *const presence_place_name[PRESENCE_PLACES] = {
	[PRESENCE_ACTIVITIES] = "activities", [PRESENCE_MOOD] = "mood",
	[PRESENCE_PLACE_TYPE] = "place_type", [PRESENCE_IN_PERSON] = "person",
	[PRESENCE_IN_STATUS] = "status",      [PRESENCE_IN_TUPLE] = "tuple",
	[PRESENCE_IN_DOCUMENT] = "presence",
};

/* RFC 4480 sections 3.2 and 3.6, RFC 4589 section 3. Each word is followed by
   a comma, but for the last. */
static const char *const words[PRESENCE_LISTS] = {
	[PRESENCE_ACTIVITIES] =
		"appointment, away, breakfast, busy, dinner, holiday, "
		"in-transit, looking-for-work, meal, meeting, on-the-phone, "
		"other, performance, permanent-absence, playing, "
		"presentation, shopping, sleeping, spectator, steering, "
		"travel, tv, unknown, vacation, working, worship",
	[PRESENCE_MOOD] =
		"afraid, amazed, angry, annoyed, anxious, ashamed, bored, "
		"brave, calm, cold, confused, contented, cranky, curious, "
		"depressed, disappointed, disgusted, distracted, embarrassed, "
		"excited, flirtatious, frustrated, grumpy, guilty, happy, "
		"hot, humbled, humiliated, hungry, hurt, impressed, in_awe, "
		"in_love, indignant, interested, invincible, jealous, lonely, "
		"mean, moody, nervous, neutral, offended, other, playful, "
		"proud, relieved, remorseful, restless, sad, sarcastic, "
		"serious, shocked, shy, sick, sleepy, stressed, surprised, "
		"thirsty, unknown, worried",
	[PRESENCE_PLACE_TYPE] =
		"aircraft, airport, arena, automobile, bank, bar, bicycle, "
		"bus, bus-station, cafe, classroom, club, construction, "
		"convention-center, government, hospital, hotel, industrial, "
		"library, motorcycle, office, other, outdoors, parking, "
		"place-of-worship, prison, public, public-transport, "
		"residence, restaurant, school, shopping-area, stadium, "
		"store, street, theater, train, train-station, truck, "
		"underway, unknown, warehouse, water, watercraft",
};

const char *presence_words(enum presence_list list)
{
	return words[list];
}

bool presence_knows(enum presence_list list, const char *p, size_t n)
{
	const char *at = words[list];

	while (*at) {
		const size_t len = strcspn(at, ",");

		if (len == n && !memcmp(at, p, n))
			return true;
		at += len;
		at += strspn(at, ", ");
	}

	return false;
}

int presence_add(struct presence *p, struct arena *a, enum presence_list list,
		 const char *word, size_t n)
{
	size_t *count = &p->count[list];
	const char *copy;

	for (size_t i = 0; i < *count; i++) {
		const char *have = p->words[list][i];

		if (strlen(have) == n && !memcmp(have, word, n))
			return 0;
	}
	if (n > PRESENCE_WORD_MAX || *count == PRESENCE_WORDS_MAX)
		return EMSGSIZE;
	copy = arena_mem(a, word, n);
	if (!copy)
		return ENOMEM;
	p->words[list][(*count)++] = copy;

	return 0;
}

static void write_list(struct buf *b, const struct presence *p,
		       enum presence_list list)
{
	if (!p->count[list])
		return;
	json_key(b, presence_list_name[list]);
	buf_char(b, '[');
	for (size_t i = 0; i < p->count[list]; i++) {
		if (i)
			buf_char(b, ',');
		json_cstr(b, p->words[list][i]);
	}
	buf_char(b, ']');
}

static void write_xml(struct buf *b, const struct presence *p)
{
	bool any = false;

	for (size_t i = 0; i < PRESENCE_PLACES; i++)
		any = any || p->xml[i];
	if (!any)
		return;
	json_key(b, "xml");
	buf_char(b, '{');
	for (size_t i = 0; i < PRESENCE_PLACES; i++)
		json_member(b, presence_place_name[i], p->xml[i]);
	buf_char(b, '}');
}

void presence_write(struct buf *b, const struct presence *p, const char *more)
{
	buf_char(b, '{');
	json_member(b, "basic", p->closed ? "closed" : "open");
	for (size_t i = 0; i < PRESENCE_LISTS; i++)
		write_list(b, p, (enum presence_list)i);
	json_member(b, "note", p->note);
	write_xml(b, p);
	if (more && strcmp(more, "{}") != 0) {
		buf_char(b, ',');
		buf_str(b, more + 1); /* its own end is ours */
	} else {
		buf_char(b, '}');
	}
}
