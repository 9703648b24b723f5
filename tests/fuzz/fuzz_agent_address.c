/*
 * Values of headers: addresses, Via, tokens, numbers, AORs.
 */
#include "fuzz.h"

#include "message/message_encode.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/sanity_field.h"
#include "parse/uri.h"
#include "parse/via.h"

static void inside(const struct pl *in, const struct pl *of)
{
	HOLDS(!in->p || (in->p >= of->p && in->p + in->l <= of->p + of->l));
}

static void addresses(const struct pl *val)
{
	char aor[AOR_BUF];
	struct pl list = *val, tag;
	struct nameaddr na;

	while (!nameaddr_take(&na, &list)) {
		inside(&na.uri, val);
		inside(&na.params, val);
		inside(&na.display, val);
		if (nameaddr_param(&na, "tag", &tag))
			inside(&tag, val);
		if (!na.star && !uri_to_aor(aor, &na.uri, NULL))
			HOLDS(strlen(aor) < sizeof(aor) && strchr(aor, '@'));
	}
	(void)sanity_field_tag(&tag, val);
}

static void vias(const struct pl *val)
{
	struct pl list = *val;
	struct via v;

	while (!via_take(&v, &list)) {
		inside(&v.val, val);
		inside(&v.host, val);
		inside(&v.branch, val);
		inside(&v.rport, val);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size), *text = fuzz_text(data, size);
	const struct pl val = {p, size};
	struct pl list = val, tok;
	enum sanity_field_id id;
	char *uri = NULL;
	uint64_t n;

	addresses(&val);
	vias(&val);
	while (!hdr_token(&tok, &list))
		inside(&tok, &val);
	if (!hdr_number(&n, &val, UINT32_MAX))
		HOLDS(n <= UINT32_MAX);
	if (!sanity_field_find(&id, &val))
		(void)sanity_field_is_impostor(&val);
	if (!uri_of_contact(&uri, text)) {
		HOLDS(!strpbrk(uri, "<>\"\r\n ?"));
		mem_deref(uri);
	}
	free(p);
	free(text);

	return 0;
}
