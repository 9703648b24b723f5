/*
 * callload_sip.c: a message read and written, digest (RFC 7616), and what is
 * repeated.
 */
#include "callload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

void packet_put(struct packet *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->b + p->len, sizeof(p->b) - p->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(p->b) - p->len) {
		fprintf(stderr, "callload: a message is too long\n");
		exit(1);
	}
	p->len += (size_t)n;
}

void packet_send(const struct side *s, const struct packet *p)
{
	const struct timespec wait = {.tv_nsec = 200000};

	for (int i = 0; i < 1000; i++) {
		if (send(s->fd, p->b, p->len, 0) >= 0 ||
		    (errno != EAGAIN && errno != ENOBUFS))
			return; /* or its repeat comes */
		nanosleep(&wait, NULL);
	}
}

bool sip_is_header(const char *line, const char *name)
{
	const size_t n = strlen(name);

	return !strncasecmp(line, name, n) && line[n] == ':';
}

/* The value of its first header of that name; "" where there is none */
const char *sip_header(char out[static FIELD], const char *message,
		       const char *name)
{
	const char *line = message, *end;

	out[0] = '\0';
	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (line[0] == '\r')
			break;
		if (!sip_is_header(line, name))
			continue;
		line += strlen(name) + 1;
		line += strspn(line, " ");
		end = strstr(line, "\r\n");
		if (end && end - line < FIELD) {
			memcpy(out, line, (size_t)(end - line));
			out[end - line] = '\0';
		}
		break;
	}

	return out;
}

/* The URI of a Contact */
void sip_uri(char out[static FIELD], const char *contact)
{
	const char *p = strchr(contact, '<'), *end = p ? strchr(p, '>') : NULL;

	out[0] = '\0';
	if (end)
		snprintf(out, FIELD, "%.*s", (int)(end - p - 1), p + 1);
}

const char *sip_aor(struct load *l, char out[static FIELD], size_t n)
{
	snprintf(out, FIELD, "sip:%s%zu@%s", l->prefix, n, l->domain);

	return out;
}

void sip_put_credentials(struct load *l, struct packet *p, size_t n,
			 const char *method, const char *uri)
{
	struct account *a = &l->accountv[n];
	char text[2 * TEXT], ha2[33], response[33], count[64] = "";

	if (!a->nonce[0])
		return;
	snprintf(text, sizeof(text), "%s:%s", method, uri);
	load_md5_hex(l->md, ha2, text);
	if (a->qop)
		snprintf(count, sizeof(count), "%08x:c0ffee:auth:", ++a->nc);
	snprintf(text, sizeof(text), "%s:%s:%s%s", a->ha1, a->nonce, count,
		 ha2);
	load_md5_hex(l->md, response, text);
	packet_put(p,
		   "%sAuthorization: Digest username=\"%s%zu\", realm=\"%s\", "
		   "nonce=\"%s\", uri=\"%s\", response=\"%s\", algorithm=MD5",
		   a->proxy ? "Proxy-" : "", l->prefix, n, l->domain, a->nonce,
		   uri, response);
	if (a->qop)
		packet_put(p, ", qop=auth, nc=%08x, cnonce=\"c0ffee\"", a->nc);
	packet_put(p, "\r\n");
}

/* Whether the request may be sent once more, with credentials */
bool sip_take_challenge(struct load *l, struct account *a, const char *message,
			int code, bool had_some)
{
	char value[FIELD];

	l->challenges++;
	sip_header(value, message,
		   code == 407 ? "Proxy-Authenticate" : "WWW-Authenticate");
	if ((had_some && a->nonce[0] && !strstr(value, "stale=true") &&
	     !strstr(value, "stale=TRUE")) ||
	    !load_read_param(a->nonce, sizeof(a->nonce), value, "nonce=\""))
		return false;
	a->qop = strstr(value, "qop=") != NULL;
	a->proxy = code == 407;
	a->nc = 0;

	return true;
}

void again_begin(struct again *g)
{
	const int64_t now = load_now_us();

	*g = (struct again){now + T1_US, T1_US, now + LIFE_US};
}

/* Whether it is to be sent once more; false where it is time to give up, too */
bool again_is_due(struct load *l, struct again *g, int64_t now)
{
	if (!g->at_us || g->at_us > now)
		return false;
	g->wait_us = 2 * g->wait_us < T2_US ? 2 * g->wait_us : T2_US;
	g->at_us = now + g->wait_us;
	l->repeats++;

	return true;
}
