/*
 * Receipts and that somebody is writing, each as such or within a
 * message/cpim: the first line is the type, the rest the body.
 */
#include "fuzz.h"

#include "common/notice/composing.h"
#include "common/notice/cpim.h"
#include "common/notice/imdn.h"

struct input {
	const char *type, *p;
	size_t type_len, n;
};

static void within(const struct input *in, const struct cpim_part *part)
{
	if (!part->p || !part->n)
		return;
	HOLDS((part->p >= in->p && part->p + part->n <= in->p + in->n) ||
	      (part->p >= in->type &&
	       part->p + part->n <= in->type + in->type_len));
}

static void cpim(const struct input *in)
{
	const struct cpim c = cpim_of(in->type, in->type_len, in->p, in->n);

	within(in, &c.message_id);
	within(in, &c.type);
	within(in, &c.content);
}

static void imdn(const struct input *in)
{
	const char *why = NULL;
	struct imdn i;
	const int err = imdn_read(&i, in->type, in->type_len, in->p, in->n,
				  &why);

	HOLDS(!err || why);
	if (err)
		return;
	HOLDS(strlen(i.message_id) <= IMDN_ID_MAX);
	HOLDS(!i.status || !strcmp(i.status, "delivered") ||
	      !strcmp(i.status, "displayed"));
}

/* What is written of it can be read, and is the same */
static void composing(const struct input *in)
{
	struct composing c, again;
	const char *why = NULL;
	struct buf b;

	if (composing_read(&c, in->type, in->type_len, in->p, in->n, &why))
		return;
	HOLDS(c.refresh_s >= 0 && c.refresh_s <= COMPOSING_REFRESH_MAX_S);
	buf_init(&b, COMPOSING_XML_MAX);
	composing_write(&b, &c);
	HOLDS(!b.failed);
	HOLDS(!composing_read(&again, COMPOSING_TYPE,
			      sizeof(COMPOSING_TYPE) - 1, b.p, b.len, &why));
	HOLDS(c.active == again.active && c.refresh_s == again.refresh_s);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	const size_t len = end ? (size_t)(end - data) : 0;
	char *type = fuzz_bytes(data, len);
	char *body = end ? fuzz_bytes(end + 1, size - len - 1) : NULL;
	const struct input in = {type, body, len, end ? size - len - 1 : 0};

	if (end) {
		cpim(&in);
		imdn(&in);
		composing(&in);
	}
	free(type);
	free(body);

	return 0;
}
