/*
 * New connections get what the context holds at that time (OpenSSL copies it
 * into each), so that a renewal needs no new context and closes nothing.  What
 * cannot be used is refused as a whole, and the old one stays.
 */
#include "transport/certificate.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/descriptors.h"
#include "common/log.h"
#include "compat.h"
#include "settings/settings.h"

/** What a file is known by: changes with whatever is written or moved there */
struct look {
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct certificate {
	struct tls *tls; /* NULL: no TLS here */
	const char *chain, *key;
	struct look
		seenv[2]; /* of chain and key, when last loaded or refused */
	uint64_t warn_ms; /* of its end, not before */
	struct tmr tmr;
	struct fd_watch watch; /* SIGHUP */
};

static void destructor(void *arg)
{
	struct certificate *c = arg;
	const int fd = c->watch.fd;

	tmr_cancel(&c->tmr);
	fd_watch_stop(&c->watch);
	if (fd >= 0)
		(void)close(fd);
	mem_deref(c->tls);
}

/* --- the files ---------------------------------------------------------- */

static struct look look_at(const char *file)
{
	struct look look = {.ino = 0};
	struct stat st;

	if (!stat(file, &st)) {
		look.ino = st.st_ino;
		look.size = st.st_size;
		look.mtime = st.st_mtim;
	}

	return look;
}

static bool is_same(const struct look *a, const struct look *b)
{
	return a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static bool use(SSL_CTX *ctx, const struct certificate *c)
{
	return SSL_CTX_use_certificate_chain_file(ctx, c->chain) == 1 &&
	       SSL_CTX_use_PrivateKey_file(ctx, c->key, SSL_FILETYPE_PEM) ==
		       1 &&
	       SSL_CTX_check_private_key(ctx) == 1;
}

/* @return whether the files can be used, found out in a context of its own */
static bool is_usable(const struct certificate *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	const bool ok = ctx && use(ctx, c);

	SSL_CTX_free(ctx);

	return ok;
}

/* It is no fault of the files, which will not change for it */
static bool is_our_lack(unsigned long e)
{
	const int reason = ERR_GET_REASON(e);

	return reason == ERR_R_MALLOC_FAILURE ||
	       (ERR_SYSTEM_ERROR(e) &&
		(reason == ENOMEM || spare_is_needed(reason)));
}

/**
 * Load the files; the certificate stays as it was where they cannot be used
 *
 * @return 0 or EINVAL, which the log explains
 */
int certificate_load(struct certificate *c)
{
	char why[256] = "";
	unsigned long e;

	c->seenv[0] = look_at(c->chain);
	c->seenv[1] = look_at(c->key);
	ERR_clear_error();
	if (is_usable(c) && use(tls_openssl_context(c->tls), c)) {
		log_info("certificate", LOG_STR("file", c->chain));
		c->warn_ms = 0;
		return 0;
	}

	e = ERR_get_error();
	ERR_error_string_n(e, why, sizeof(why));
	ERR_clear_error();
	log_error_often(1, "certificate_refused", LOG_STR("file", c->chain),
			LOG_STR("key", c->key), LOG_STR("why", why));
	if (is_our_lack(e)) /* so they are loaded at the next look */
		memset(c->seenv, 0, sizeof(c->seenv));

	return EINVAL;
}

/**
 * When the certificate ends that is shown
 *
 * @param tls libre's context; NULL where there is no TLS
 *
 * @return Seconds of the epoch; 0 where there is none
 */
int64_t certificate_ends(const struct tls *tls)
{
	const X509 *x = tls ? SSL_CTX_get0_certificate(tls_openssl_context(tls))
			    : NULL;
	struct tm tm;

	if (!x || ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
		return 0;

	return timegm(&tm);
}

/* Who renews it may have failed, or have put it elsewhere: told once a day */
static void warn_of_end(struct certificate *c)
{
	const int64_t left_s = certificate_ends(c->tls) - time(NULL);

	if (left_s >= CERTIFICATE_SOON_S || tmr_jiffies() < c->warn_ms)
		return;

	c->warn_ms = tmr_jiffies() + CERTIFICATE_WARN_MS;
	log_warn("certificate_ends", LOG_STR("file", c->chain),
		 LOG_INT("left_s", left_s));
}

/* --- when --------------------------------------------------------------- */

/* A renewal writes two files: what does not fit together now is looked at
   again once either changes */
static void look_handler(void *arg)
{
	struct certificate *c = arg;
	const struct look nowv[] = {look_at(c->chain), look_at(c->key)};

	tmr_start(&c->tmr, CERTIFICATE_LOOK_MS, look_handler, c);
	if (!is_same(&nowv[0], &c->seenv[0]) ||
	    !is_same(&nowv[1], &c->seenv[1]))
		(void)certificate_load(c);
	warn_of_end(c);
}

static void hup_handler(int flags, void *arg)
{
	struct certificate *c = arg;
	struct signalfd_siginfo si;

	(void)flags;
	while (read(c->watch.fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (c->tls)
			(void)certificate_load(c);
	}
}

/* SIGHUP comes by the loop; without TLS it does nothing */
static int watch_hup(struct certificate *c)
{
	sigset_t set;
	int fd, err;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return errno;
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return errno;

	err = fd_watch_start(&c->watch, fd, FD_READ, hup_handler, c);
	if (err)
		(void)close(fd);

	return err;
}

/* --- life --------------------------------------------------------------- */

/* Those of the system, and those that the settings name */
static int trust(SSL_CTX *ctx, const char *authorities)
{
	char why[256];

	ERR_clear_error();
	if (SSL_CTX_set_default_verify_paths(ctx) == 1 &&
	    (!*authorities ||
	     SSL_CTX_load_verify_locations(ctx, authorities, NULL) == 1))
		return 0;

	ERR_error_string_n(ERR_get_error(), why, sizeof(why));
	ERR_clear_error();
	log_error("authorities_refused", LOG_STR("file", authorities),
		  LOG_STR("why", why));

	return EINVAL;
}

/* Nothing below TLS 1.2 (RFC 8996); what is asked of a peer that we call is in
   identity.c */
static int tls_open(struct certificate *c, const struct settings *set)
{
	SSL_CTX *ctx;
	int err;

	c->chain = settings_tls_certificate(set);
	c->key = settings_tls_key(set);
	err = tls_alloc(&c->tls, TLS_METHOD_SSLV23, NULL, NULL);
	if (err)
		return err;

	ctx = tls_openssl_context(c->tls);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return EPROTO;
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
					       SSL_OP_NO_COMPRESSION |
					       SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* pjsip on GnuTLS (Jami) stops reading at a session ticket, with the
	   answer behind it unread; and each agent has its own key for them */
	if (SSL_CTX_set_num_tickets(ctx, 0) != 1)
		return EPROTO;
	/* an idle connection keeps 34 KB otherwise, in a handshake too */
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	err = trust(ctx, settings_tls_authorities(set));
	if (!err)
		err = certificate_load(c);
	if (!err)
		tmr_start(&c->tmr, CERTIFICATE_LOOK_MS, look_handler, c);

	return err;
}

/**
 * Load the certificate, if the settings have addresses for TLS
 *
 * @param cp  Set to the certificate, owned by the caller
 * @param set Borrowed as long as it lives
 *
 * @return 0, EINVAL where the files cannot be used, or another errno
 */
int certificate_alloc(struct certificate **cp, const struct settings *set)
{
	struct certificate *c = mem_zalloc(sizeof(*c), destructor);
	const struct sa *sav;
	int err;

	if (!c)
		return ENOMEM;

	fd_watch_init(&c->watch);
	err = watch_hup(c);
	if (!err && settings_tls_listen(set, &sav))
		err = tls_open(c, set);

	if (err)
		mem_deref(c);
	else
		*cp = c;

	return err;
}

/** libre's context; NULL where there is no TLS; borrowed */
struct tls *certificate_tls(const struct certificate *c)
{
	return c->tls;
}
