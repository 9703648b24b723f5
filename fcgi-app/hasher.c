/*
 * hasher.c: one thread that does nothing but crypt(3).
 */
#include "hasher.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "secret.h"

struct job {
	struct job *next;
	char password[HASHER_PASSWORD_MAX];
	char setting[HASHER_HASH_MAX];
	char hash[HASHER_HASH_MAX];
	bool ok;
	hasher_h *done;
	void *arg;
};

struct hasher {
	struct loop *loop;
	struct loop_fd watch;
	int event_fd; /* written to when something is done */
	size_t jobs;  /* not answered yet; the loop's own */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* over all below */
	pthread_cond_t wake;
	struct job *todo, **todo_end;
	struct job *done, **done_end;
	bool stop;
};

static void job_free(struct job *j)
{
	secret_wipe(j, sizeof(*j));
	free(j);
}

static void job_run(struct job *j, struct crypt_data *data)
{
	const char *hash;

	if (!j->setting[0] && !crypt_gensalt_rn("$y$", 0, NULL, 0, j->setting,
						sizeof(j->setting)))
		return;
	data->initialized = 0;
	hash = crypt_r(j->password, j->setting, data);
	if (!hash || hash[0] == '*' || strlen(hash) >= sizeof(j->hash))
		return;
	memcpy(j->hash, hash, strlen(hash) + 1);
	j->ok = true;
}

static struct job *job_take(struct hasher *h)
{
	struct job *j = NULL;

	(void)pthread_mutex_lock(&h->lock);
	while (!h->todo && !h->stop)
		(void)pthread_cond_wait(&h->wake, &h->lock);
	if (!h->stop) {
		j = h->todo;
		h->todo = j->next;
		if (!h->todo)
			h->todo_end = &h->todo;
	}
	(void)pthread_mutex_unlock(&h->lock);
	return j;
}

static void job_hand_back(struct hasher *h, struct job *j)
{
	const uint64_t one = 1;

	(void)pthread_mutex_lock(&h->lock);
	j->next = NULL;
	*h->done_end = j;
	h->done_end = &j->next;
	(void)pthread_mutex_unlock(&h->lock);
	/* Fails only where it is readable anyhow. */
	if (write(h->event_fd, &one, sizeof(one)) < 0)
		return;
}

static void *hasher_thread(void *arg)
{
	struct hasher *h = arg;
	struct crypt_data *data = calloc(1, sizeof(*data));
	struct job *j;

	while ((j = job_take(h))) {
		if (data)
			job_run(j, data);
		job_hand_back(h, j);
	}
	if (data)
		secret_wipe(data, sizeof(*data));
	free(data);
	return NULL;
}

static void jobs_done(uint32_t events, void *arg)
{
	struct hasher *h = arg;
	struct job *j, *next;
	uint64_t count;

	(void)events;
	if (read(h->event_fd, &count, sizeof(count)) < 0)
		return;
	(void)pthread_mutex_lock(&h->lock);
	j = h->done;
	h->done = NULL;
	h->done_end = &h->done;
	(void)pthread_mutex_unlock(&h->lock);
	for (; j; j = next) {
		next = j->next;
		h->jobs--;
		j->done(j->ok ? j->hash : NULL, j->arg);
		job_free(j);
	}
}

int hasher_new(struct hasher **out, struct loop *l)
{
	struct hasher *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return ENOMEM;
	h->loop = l;
	h->todo_end = &h->todo;
	h->done_end = &h->done;
	(void)pthread_mutex_init(&h->lock, NULL); /* cannot fail on Linux */
	(void)pthread_cond_init(&h->wake, NULL);
	h->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	err = h->event_fd < 0 ? errno : 0;
	if (!err)
		err = loop_watch(l, &h->watch, h->event_fd, EPOLLIN, jobs_done,
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

static void jobs_free(struct job *j)
{
	while (j) {
		struct job *next = j->next;

		job_free(j);
		j = next;
	}
}

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	(void)pthread_mutex_lock(&h->lock);
	h->stop = true;
	(void)pthread_cond_signal(&h->wake);
	(void)pthread_mutex_unlock(&h->lock);
	if (h->started)
		(void)pthread_join(h->thread, NULL);
	jobs_free(h->todo);
	jobs_free(h->done);
	loop_unwatch(h->loop, &h->watch);
	if (h->event_fd >= 0)
		(void)close(h->event_fd);
	(void)pthread_cond_destroy(&h->wake);
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

int hasher_ask(struct hasher *h, const char *password, const char *setting,
	       hasher_h *done, void *arg)
{
	size_t n = strlen(password),
	       setting_len = setting ? strlen(setting) : 0;
	struct job *j;

	if (n >= HASHER_PASSWORD_MAX || setting_len >= HASHER_HASH_MAX ||
	    (setting && !setting_len))
		return EINVAL;
	if (h->jobs > HASHER_QUEUE_MAX) /* and one under way */
		return EBUSY;
	j = calloc(1, sizeof(*j));
	if (!j)
		return ENOMEM;
	memcpy(j->password, password, n + 1);
	if (setting)
		memcpy(j->setting, setting, setting_len + 1);
	j->done = done;
	j->arg = arg;
	h->jobs++;
	(void)pthread_mutex_lock(&h->lock);
	*h->todo_end = j;
	h->todo_end = &j->next;
	(void)pthread_cond_signal(&h->wake);
	(void)pthread_mutex_unlock(&h->lock);
	return 0;
}
