/*
 * Texts of common/: AORs, domains, SIP URIs, networks, UTF-8, base64, JSON
 * strings.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "common/aor.h"
#include "common/buf.h"
#include "common/cidr.h"
#include "common/json_write.h"
#include "common/secret.h"
#include "common/sipuri.h"
#include "common/utf8.h"

/* A normal form is its own normal form */
static void names(const char *p, size_t size)
{
	char one[AOR_BUF], two[AOR_BUF];

	if (!aor_parse(one, p, size)) {
		HOLDS(!aor_parse(two, one, strlen(one)) && !strcmp(one, two));
		HOLDS(aor_domain(one));
	}
	if (!domain_parse(one, p, size))
		HOLDS(!domain_parse(two, one, strlen(one)) &&
		      !strcmp(one, two));
}

static void uris(const char *p, size_t size)
{
	char key[SIPURI_KEY_BUF];
	struct sipuri_part val;
	struct sipuri u;

	if (sipuri_parse(&u, p, size))
		return;
	HOLDS(!memchr(p, '>', size) && !memchr(p, '\n', size));
	HOLDS(u.host.n);
	(void)sipuri_param(&u, "transport", &val);
	if (!sipuri_key(key, &u))
		HOLDS(strlen(key) < sizeof(key));
}

static void networks(const char *text)
{
	const struct sockaddr_in in = {.sin_family = AF_INET,
				       .sin_addr = {htonl(0x7f000001)}};
	union {
		const struct sockaddr_in *in;
		const struct sockaddr *sa;
	} u = {.in = &in};
	struct cidr_list *list = NULL;

	if (cidr_list_parse(&list, text))
		return;
	(void)cidr_list_match(list, u.sa);
	cidr_list_free(list);
}

static void encodings(const char *p, size_t size)
{
	uint8_t *out = malloc(size + 1);
	size_t len = 0, valid = utf8_valid(p, size);
	struct buf b;

	HOLDS(out && valid <= size);
	if (!secret_base64_decode(out, size + 1, &len, p, size))
		HOLDS(len <= size);
	free(out);

	buf_init(&b, 8 * size + 64);
	json_str(&b, p, valid);
	HOLDS(!b.failed && b.len >= valid + 2 && !memchr(b.p, '\n', b.len));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = fuzz_bytes(data, size), *text = fuzz_text(data, size);

	names(p, size);
	uris(p, size);
	networks(text);
	encodings(p, size);
	free(p);
	free(text);

	return 0;
}
