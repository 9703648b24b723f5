/*
 * hasher.c: one thread that does nothing but crypt(3), and has one job at a
 * time. The loop chooses it, so that only the loop knows of queues.
 */
#include "shared/hasher.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/password.h"
#include "common/secret.h"
#include "common/turn.h"

enum {
	LOOK_MS = 100,	  /* for who has waited too long */
	LOGINS_A_NEW = 3, /* logins in a row while a new password waits */
	NICENESS = 10,	  /* of the thread: to all else a hash gives way */
};

enum queue {
	QUEUE_KNOWN, /* logins from where the account has signed in lately */
	QUEUE_LOGIN,
	QUEUE_NEW, /* passwords: sign-ups and changes */
	QUEUES,
};

struct job {
	struct turn turn; /* first: turns_take() gives it */
	enum queue queue;
	char password[HASHER_PASSWORD_MAX];
	char setting[HASHER_HASH_MAX];
	char hash[HASHER_HASH_MAX];
	uint64_t took_us;
	int err;
	struct job *next_refused;
	hasher_wanted_h *wanted;
	hasher_h *done;
	void *arg;
};

struct hasher {
	struct loop *loop;
	struct loop_fd watch;
	struct loop_timer look;
	int event_fd; /* written to when something is done */
	struct turns *waiting[QUEUES];
	struct job *running;
	struct job *refused; /* the last first */
	bool is_known_next;
	unsigned logins; /* since the last new password */
	struct hasher_stats stats;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* over all below */
	pthread_cond_t wake;
	struct job *todo; /* the same as running, until it is done */
	bool stop;
};

static void jobs_start(struct hasher *h);

static void job_free(struct job *j)
{
	secret_wipe(j, sizeof(*j));
	free(j);
}

/* ---- the thread ---- */

static void job_run(struct job *j)
{
	const uint64_t began_us = clock_us();

	j->err = password_hash(j->hash, j->password,
			       j->setting[0] ? j->setting : NULL);
	j->took_us = clock_us() - began_us;
}

static struct job *job_await(struct hasher *h)
{
	struct job *j;

	(void)pthread_mutex_lock(&h->lock);
	while (!h->todo && !h->stop)
		(void)pthread_cond_wait(&h->wake, &h->lock);
	j = h->stop ? NULL : h->todo;
	h->todo = NULL;
	(void)pthread_mutex_unlock(&h->lock);
	return j;
}

static void *hasher_thread(void *arg)
{
	struct hasher *h = arg;
	const uint64_t one = 1;
	struct job *j;

	(void)setpriority(PRIO_PROCESS, 0, NICENESS); /* in Linux, a thread's */
	while ((j = job_await(h))) {
		job_run(j);
		/* Fails only where it is readable anyhow. */
		if (write(h->event_fd, &one, sizeof(one)) < 0)
			continue;
	}
	return NULL;
}

/* ---- the loop's side ---- */

/* Tell whoever waits, and forget it. */
static void job_end(struct hasher *h, struct job *j, int err)
{
	h->stats.hashed += !err;
	h->stats.busy += err == EBUSY;
	h->stats.unwanted += err == ECANCELED;
	if (err == ENOMEM)
		log_error_often(1, "no_memory", LOG_STR("where", "password"));
	j->done(err, err ? NULL : j->hash, j->arg);
	job_free(j);
}

static void overdue_end(struct hasher *h)
{
	const uint64_t now_ms = clock_ms();

	for (int i = 0; i < QUEUES; i++) {
		struct turn *e;

		while (now_ms > HASHER_WAIT_MS &&
		       (e = turns_overdue(h->waiting[i],
					  now_ms - HASHER_WAIT_MS))) {
			turns_remove(h->waiting[i], e);
			job_end(h, (struct job *)(void *)e, EBUSY);
		}
	}
}

static void refused_end(struct hasher *h)
{
	struct job *j;

	while ((j = h->refused)) {
		h->refused = j->next_refused;
		job_end(h, j, EBUSY);
	}
}

static void look(void *arg)
{
	struct hasher *h = arg;

	refused_end(h);
	overdue_end(h);
	jobs_start(h);
}

static struct job *job_take(struct hasher *h, enum queue queue)
{
	struct turns *t = h->waiting[queue];
	struct turn *e;

	while ((e = turns_take(t, TURN_ANY, clock_ms()))) {
		struct job *j = (struct job *)(void *)e;

		if (!j->wanted || j->wanted(j->arg))
			return j;
		turns_done(t, e, 0, clock_ms());
		job_end(h, j, ECANCELED);
	}
	return NULL;
}

/* The next login that somebody waits for: by turns of who is known and of who
 * is not. */
static struct job *login_next(struct hasher *h)
{
	const enum queue first = h->is_known_next ? QUEUE_KNOWN : QUEUE_LOGIN;
	const enum queue second = h->is_known_next ? QUEUE_LOGIN : QUEUE_KNOWN;
	struct job *j = job_take(h, first);

	if (!j)
		j = job_take(h, second);
	if (j)
		h->is_known_next = j->queue == QUEUE_LOGIN;
	return j;
}

/* Logins first; but however many there are, new passwords come to their turn.
 */
static struct job *job_next(struct hasher *h)
{
	struct job *j = NULL;

	if (h->logins < LOGINS_A_NEW && (j = login_next(h))) {
		h->logins++;
		return j;
	}
	h->logins = 0;
	j = job_take(h, QUEUE_NEW);
	return j ? j : login_next(h);
}

/* Give the thread something to do, if it has nothing. */
static void jobs_start(struct hasher *h)
{
	if (!h->running && (h->running = job_next(h))) {
		(void)pthread_mutex_lock(&h->lock);
		h->todo = h->running;
		(void)pthread_cond_signal(&h->wake);
		(void)pthread_mutex_unlock(&h->lock);
	}
	if (hasher_stats(h).waiting && !loop_pending(&h->look))
		loop_after(h->loop, &h->look, LOOK_MS, look, h);
}

static void job_done(uint32_t events, void *arg)
{
	struct hasher *h = arg;
	struct job *j = h->running;
	uint64_t count;

	(void)events;
	if (read(h->event_fd, &count, sizeof(count)) < 0 || !j)
		return;
	h->running = NULL;
	turns_done(h->waiting[j->queue], &j->turn, j->took_us, clock_ms());
	job_end(h, j, j->err);
	overdue_end(h);
	jobs_start(h);
}

int hasher_new(struct hasher **out, struct loop *l)
{
	static const struct turns_limits limits = {
		.waiting = HASHER_QUEUE_MAX,
		.caller_waiting = HASHER_SOURCE_MAX,
	};
	struct hasher *h = calloc(1, sizeof(*h));
	int err = 0;

	if (!h)
		return ENOMEM;
	h->loop = l;
	(void)pthread_mutex_init(&h->lock, NULL); /* cannot fail on Linux */
	(void)pthread_cond_init(&h->wake, NULL);
	h->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->event_fd < 0)
		err = errno;
	for (int i = 0; i < QUEUES && !err; i++)
		err = turns_new(&h->waiting[i], &limits);
	if (!err)
		err = loop_watch(l, &h->watch, h->event_fd, EPOLLIN, job_done,
				 h);
	if (!err)
		err = pthread_create(&h->thread, NULL, hasher_thread, h);
	h->started = !err;
	if (err)
		hasher_free(h);
	else
		*out = h;
	return err;
}

static void queue_free(struct turns *t)
{
	struct turn *e;

	while (t && (e = turns_first(t))) {
		turns_remove(t, e);
		job_free((struct job *)(void *)e);
	}
	turns_free(t);
}

void hasher_free(struct hasher *h)
{
	struct job *j;

	if (!h)
		return;
	(void)pthread_mutex_lock(&h->lock);
	h->stop = true;
	(void)pthread_cond_signal(&h->wake);
	(void)pthread_mutex_unlock(&h->lock);
	if (h->started)
		(void)pthread_join(h->thread, NULL);
	if (h->running)
		job_free(h->running);
	while ((j = h->refused)) {
		h->refused = j->next_refused;
		job_free(j);
	}
	for (int i = 0; i < QUEUES; i++)
		queue_free(h->waiting[i]);
	loop_cancel(h->loop, &h->look);
	loop_unwatch(h->loop, &h->watch);
	if (h->event_fd >= 0)
		(void)close(h->event_fd);
	(void)pthread_cond_destroy(&h->wake);
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

/* Not at once: the loop tells it, not whoever asks now. */
static void refuse_soon(struct hasher *h, struct job *j)
{
	j->next_refused = h->refused;
	h->refused = j;
	loop_after(h->loop, &h->look, 0, look, h);
}

/* Where there is no place for it, one of who has most waiting is refused. */
static int queue_add(struct hasher *h, struct job *j, uint64_t caller)
{
	struct turns *t = h->waiting[j->queue];
	struct turn *e;
	int err = turns_add(t, &j->turn, caller, 0, clock_ms());

	if (err != EBUSY || !(e = turns_make_room(t, caller, 0)))
		return err;
	err = turns_add(t, &j->turn, caller, 0, clock_ms());
	refuse_soon(h, (struct job *)(void *)e);
	return err;
}

int hasher_ask(struct hasher *h, const struct hasher_job *job)
{
	const char *setting = job->setting ? job->setting : "";
	const size_t n = strlen(job->password), setting_len = strlen(setting);
	struct job *j;
	int err;

	if (n >= HASHER_PASSWORD_MAX || setting_len >= HASHER_HASH_MAX ||
	    (job->setting && !setting_len))
		return EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return ENOMEM;
	j->queue = !job->setting ? QUEUE_NEW
		   : job->known	 ? QUEUE_KNOWN
				 : QUEUE_LOGIN;
	memcpy(j->password, job->password, n + 1);
	memcpy(j->setting, setting, setting_len + 1);
	j->wanted = job->wanted;
	j->done = job->done;
	j->arg = job->arg;
	err = queue_add(h, j, turn_key_of_source(job->source));
	if (err) {
		h->stats.busy += err == EBUSY;
		job_free(j);
		return err;
	}
	/* In the next turn of the loop: no answer before this returns. */
	if (!h->running)
		loop_after(h->loop, &h->look, 0, look, h);
	return 0;
}

struct hasher_stats hasher_stats(const struct hasher *h)
{
	struct hasher_stats stats = h->stats;

	for (int i = 0; i < QUEUES; i++)
		stats.waiting += turns_waiting(h->waiting[i]);
	return stats;
}
