/*
 * One pass over the head: the first line, then each header by the table of
 * those that have rules.  The first fault found is the verdict, but the pass
 * goes on, so that whatever an answer needs is known.
 */
#include "parse/sanity.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/secret.h"
#include "parse/line.h"
#include "parse/sanity_field.h"

enum {
	KEEPALIVE_MAX = 4,
	SCODE_MIN = 100,
	SCODE_MAX = 699,
};

#define COOKIE "z9hG4bK" /* RFC 3261 section 8.1.1.7 */

static void refuse(struct sanity *m, uint16_t scode, const char *why)
{
	if (m->scode)
		return;
	m->scode = scode;
	m->why = why;
}

/* --- lines -------------------------------------------------------------- */

/* Whether each CR and LF is one of a CRLF, and control characters stand behind
   a backslash only (RFC 3261 section 25.1, quoted-pair) */
static bool is_clean(const struct pl *line)
{
	for (size_t i = 0; i < line->l; i++) {
		const unsigned char c = (unsigned char)line->p[i];

		if (c >= 0x20 && c != 0x7f)
			continue;
		if (c == '\r' && i + 1 < line->l && line->p[i + 1] == '\n') {
			i++;
			continue;
		}
		if (c == '\t')
			continue;
		if (c == '\r' || c == '\n' || !i || line->p[i - 1] != '\\')
			return false;
	}

	return true;
}

/* --- the first line ------------------------------------------------------ */

static bool is_digits(const struct pl *pl)
{
	for (size_t i = 0; i < pl->l; i++) {
		if (pl->p[i] < '0' || pl->p[i] > '9')
			return false;
	}

	return pl->l > 0;
}

/* Whether this is SIP, of whatever version */
static bool is_version(const struct pl *pl)
{
	struct pl major, minor;

	return pl->l >= 7 && !strncasecmp(pl->p, "SIP/", 4) &&
	       !re_regex(pl->p + 4, pl->l - 4, "[0-9]+.[0-9]+", &major, &minor);
}

static void check_uri(struct sanity *m)
{
	const char *at, *colon;

	for (size_t i = 0; i < m->uri.l; i++) {
		const unsigned char c = (unsigned char)m->uri.p[i];

		if (c <= 0x20 || c >= 0x7f || strchr("<>\"", c)) {
			refuse(m, 400, "Bad Request-URI");
			return;
		}
	}

	colon = pl_strchr(&m->uri, ':');
	if (!colon || colon == m->uri.p) {
		refuse(m, 400, "Bad Request-URI");
		return;
	}

	if (!sanity_field_has_host(&m->uri)) {
		refuse(m, 400, "Bad Request-URI");
		return;
	}

	/* headers are not for a Request-URI (RFC 3261 section 19.1.1) */
	at = pl_strchr(&m->uri, '@');
	if (!at)
		at = colon;
	if (sanity_field_is_sip(&m->uri) &&
	    memchr(at, '?', (size_t)(m->uri.p + m->uri.l - at)))
		refuse(m, 400, "Headers In Request-URI");
}

static void take_request_line(struct sanity *m, const struct pl *line)
{
	const char *last = memrchr(line->p, ' ', line->l);
	const char *first = memchr(line->p, ' ', line->l);
	struct pl version;

	if (!first || first == line->p)
		return;

	version = (struct pl){last + 1, (size_t)(line->p + line->l - last - 1)};
	m->method = (struct pl){line->p, (size_t)(first - line->p)};
	for (size_t i = 0; i < m->method.l; i++) {
		if (!hdr_is_token_char(m->method.p[i]))
			return;
	}

	/* a blank behind the version is refused as a blank in the URI */
	if (!version.l && memmem(line->p, line->l, " SIP/", 5)) {
		m->kind = SANITY_REQUEST;
		refuse(m, 400, "Bad Request-Line");
		return;
	}
	if (!is_version(&version))
		return;

	m->kind = SANITY_REQUEST;
	if (pl_strcmp(&version, "SIP/2.0"))
		refuse(m, 505, "Version Not Supported");
	if (last <= first + 1) {
		refuse(m, 400, "Bad Request-Line");
		return;
	}
	m->uri = (struct pl){first + 1, (size_t)(last - first - 1)};
	check_uri(m);
}

static void take_status_line(struct sanity *m, const struct pl *line)
{
	const struct pl digits = {line->p + 8, 3};
	uint64_t scode;

	m->kind = SANITY_RESPONSE;
	if (line->l < 12 || line->p[11] != ' ' || !is_digits(&digits) ||
	    hdr_number(&scode, &digits, SCODE_MAX) || scode < SCODE_MIN)
		refuse(m, 400, "Bad Status-Line");
}

static void take_first_line(struct sanity *m, const struct pl *line)
{
	if (!is_clean(line) || memchr(line->p, '\r', line->l))
		return;

	if (line->l >= 8 && !memcmp(line->p, "SIP/2.0 ", 8))
		take_status_line(m, line);
	else
		take_request_line(m, line);
}

/* --- headers ------------------------------------------------------------- */

static void take_via(struct sanity *m, const struct pl *val)
{
	struct pl list = *val;
	unsigned values = 0;
	struct via v;
	int err;

	while (!(err = via_take(&v, &list))) {
		if (!m->vias++)
			m->via = v;
		values++;
	}
	if (err != ENOENT || !values) {
		m->vias++;
		refuse(m, 400, "Bad Via");
	}
	if (m->vias > SANITY_VIAS_MAX)
		refuse(m, 400, "Too Many Vias");
}

static void keep(struct sanity *m, enum sanity_field_id id,
		 const struct pl *val)
{
	switch (id) {
	case SANITY_FIELD_FROM:
		m->from = *val;
		break;

	case SANITY_FIELD_TO:
		m->to = *val;
		break;

	case SANITY_FIELD_CALL_ID:
		m->call_id = *val;
		break;

	case SANITY_FIELD_CSEQ:
		m->cseq = *val;
		break;

	case SANITY_FIELD_CONTENT_LENGTH:
		m->has_length = true;
		break;

	case SANITY_FIELD_AUTHORIZATION:
		m->has_credentials = true;
		break;

	default:
		break;
	}
}

struct seen {
	uint64_t fields; /* a bit a field */
	unsigned lines;
	uint64_t length;
};

static void take_field(struct sanity *m, struct seen *seen,
		       const struct pl *name, const struct pl *val)
{
	enum sanity_field_id id;
	const struct sanity_field *f = sanity_field_find(&id, name);
	const char *why;

	if (!f) {
		if (sanity_field_is_impostor(name))
			refuse(m, 400, "Unclear Header Name");
		return;
	}
	if (f->single && seen->fields & UINT64_C(1) << id) {
		refuse(m, 400, "Duplicate Header");
		return;
	}
	seen->fields |= UINT64_C(1) << id;

	if (id == SANITY_FIELD_VIA) {
		take_via(m, val);
		return;
	}
	keep(m, id, val);
	if (f->check && (why = f->check(val)))
		refuse(m, 400, why);
	else if (id == SANITY_FIELD_CONTENT_LENGTH)
		(void)hdr_number(&seen->length, val, UINT32_MAX);
}

static void take_header(struct sanity *m, struct seen *seen,
			const struct pl *line)
{
	struct pl name, val;

	if (++seen->lines > SANITY_LINES_MAX) {
		refuse(m, 400, "Too Many Headers");
		return;
	}
	if (!is_clean(line)) {
		refuse(m, 400, "Control Character In Header");
	} else if (line_split(&name, &val, line)) {
		refuse(m, 400, "Bad Header");
	} else {
		m->linev[m->linec++] = (struct sanity_line){name, val};
		take_field(m, seen, &name, &val);
	}
}

static void check_mandatory(struct sanity *m, const struct seen *seen)
{
	const struct {
		enum sanity_field_id id;
		const char *why;
	} needed[] = {
		{SANITY_FIELD_VIA, "Missing Via"},
		{SANITY_FIELD_FROM, "Missing From"},
		{SANITY_FIELD_TO, "Missing To"},
		{SANITY_FIELD_CALL_ID, "Missing Call-ID"},
		{SANITY_FIELD_CSEQ, "Missing CSeq"},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (!(seen->fields & UINT64_C(1) << needed[i].id))
			refuse(m, 400, needed[i].why);
	}
}

static void check_method(struct sanity *m)
{
	struct pl met = m->cseq;

	while (met.l && *met.p >= '0' && *met.p <= '9')
		pl_advance(&met, 1);
	line_trim(&met);
	if (pl_cmp(&met, &m->method))
		refuse(m, 400, "CSeq Method Mismatch");
}

/* A datagram ends the body too; what comes behind it is not looked at
   (RFC 3261 section 18.3) */
static void check_body(struct sanity *m, const struct seen *seen, size_t left)
{
	m->body_len = m->has_length && seen->length < left
			      ? (size_t)seen->length
			      : left;
	if (m->has_length && seen->length > left)
		refuse(m, 400, "Body Is Cut");
	if (m->head_len > SANITY_HEAD_MAX)
		refuse(m, 513, "Message Too Large");
	if (m->body_len > SANITY_BODY_MAX)
		refuse(m, 413, "Request Entity Too Large");
}

static bool is_keepalive(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] && p[i] != '\r' && p[i] != '\n' && p[i] != ' ')
			return false;
	}

	return n <= KEEPALIVE_MAX;
}

static void take_head(struct sanity *m, struct seen *seen, const char *p,
		      size_t n)
{
	struct pl in = {p, n}, line;

	if (line_take(&line, &in))
		m->cut = true;
	take_first_line(m, &line);
	if (m->kind == SANITY_JUNK)
		return;

	while (!m->cut) {
		m->cut = line_take(&line, &in) != 0;
		if (!line.l)
			break;
		take_header(m, seen, &line);
	}
	m->head_len = n - in.l;
	if (m->cut)
		refuse(m, 400, "Header Is Cut");
}

/**
 * Look at a datagram, or at one whole message of a stream
 *
 * @param m Filled in; borrows from p
 *
 * @return What it is; m->scode says whether and how it is to be refused
 */
enum sanity_kind sanity_parse(struct sanity *m, const char *p, size_t n)
{
	struct seen seen = {0};

	memset(m, 0, offsetof(struct sanity, linev));
	if (is_keepalive(p, n)) {
		m->kind = SANITY_KEEPALIVE;
		return m->kind;
	}

	take_head(m, &seen, p, n);
	if (m->kind == SANITY_JUNK)
		return m->kind;

	check_mandatory(m, &seen);
	check_body(m, &seen, n - m->head_len);
	if (m->kind != SANITY_REQUEST)
		return m->kind;

	check_method(m);
	if (m->via.branch.p && m->via.branch.l == strlen(COOKIE) &&
	    !pl_strcasecmp(&m->via.branch, COOKIE))
		refuse(m, 400, "Bad Branch");
	if (!sanity_field_is_sip(&m->uri))
		refuse(m, 416, "Unsupported URI Scheme");

	return m->kind;
}

/** An ACK is never answered */
bool sanity_is_ack(const struct sanity *m)
{
	return !pl_strcmp(&m->method, "ACK");
}

/**
 * A branch for a request without one, the same for each repeat and for the ACK
 * and CANCEL that belong to it (RFC 3261 section 17.2.3, for RFC 2543)
 *
 * @param branch Set to it
 * @param size   SANITY_BRANCH_SIZE is enough
 *
 * @return 0 or an errno
 */
int sanity_branch(char *branch, size_t size, const struct sanity *m)
{
	uint8_t md[SHA256_SIZE];
	struct mbuf *mb = mbuf_alloc(512);
	struct pl seq = m->cseq, tag = pl_null;
	int err;

	if (!mb)
		return ENOMEM;

	while (seq.l && !hdr_is_lws(seq.p[seq.l - 1]))
		seq.l--;
	(void)sanity_field_tag(&tag, &m->from);
	err = mbuf_printf(mb, "%r|%r|%r|%r|%r", &m->uri, &tag, &m->call_id,
			  &seq, &m->via.val);
	if (!err)
		err = sha256(md, mb->buf, mb->end);
	mem_deref(mb);
	if (err)
		return err;

	return re_snprintf(branch, size, SANITY_MARK "%w", md,
			   (size_t)SANITY_MARKED_LEN / 2) < 0
		       ? EOVERFLOW
		       : 0;
}
