/*
 * A ring of slots, oldest first. The results of a slot come one after another:
 * of its preparation, of itself, and of its Sync if it has one.
 */
#include "common/pg/pipe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"

struct slot {
	struct pg_job *job; /* null: it was taken */
	const struct pg_stmt *stmt;
	PGresult *res;
	unsigned serial; /* of the preparation that it uses */
	unsigned steps;	 /* to come: its preparation, itself */
	bool preparing;	 /* the first result is that of its preparation */
};

/* Its name on the server is that of the statement and the serial. */
struct prepared {
	const struct pg_stmt *stmt;
	unsigned serial;
};

struct pg_pipe {
	struct pg_pipe_conf conf;
	PGconn *pg;
	struct slot *slots;
	size_t first, n;
	size_t syncs;	  /* to come */
	uint64_t head_us; /* since when the first runs */
	struct prepared prepared[PG_PREPARED_MAX];
	size_t nprepared;
	unsigned serial;
};

int pg_pipe_new(struct pg_pipe **out, const struct pg_pipe_conf *conf)
{
	struct pg_pipe *p = calloc(1, sizeof(*p));

	if (p)
		p->slots = calloc(conf->depth, sizeof(*p->slots));
	if (!p || !p->slots) {
		free(p);
		return ENOMEM;
	}
	p->conf = *conf;
	*out = p;
	return 0;
}

void pg_pipe_free(struct pg_pipe *p)
{
	if (!p)
		return;
	pg_pipe_end(p);
	free(p->slots);
	free(p);
}

void pg_pipe_begin(struct pg_pipe *p, PGconn *pg)
{
	p->pg = pg;
}

bool pg_pipe_is_busy(const struct pg_pipe *p)
{
	return p->n || p->syncs;
}

size_t pg_pipe_load(const struct pg_pipe *p)
{
	return p->n;
}

uint64_t pg_pipe_age_us(const struct pg_pipe *p, uint64_t now_us)
{
	if (!pg_pipe_is_busy(p) || now_us <= p->head_us)
		return 0;
	return now_us - p->head_us;
}

static struct slot *slot_at(const struct pg_pipe *p, size_t n)
{
	return &p->slots[(p->first + n) % p->conf.depth];
}

struct pg_job *pg_pipe_job(const struct pg_pipe *p, size_t n)
{
	return n < p->n ? slot_at(p, n)->job : NULL;
}

void pg_pipe_take(struct pg_pipe *p, const struct pg_job *job)
{
	for (size_t i = 0; i < p->n; i++)
		if (slot_at(p, i)->job == job)
			slot_at(p, i)->job = NULL;
}

/* ---- sending ---- */

static struct prepared *prepared_find(struct pg_pipe *p,
				      const struct pg_stmt *stmt)
{
	for (size_t i = 0; i < p->nprepared; i++)
		if (p->prepared[i].stmt == stmt)
			return &p->prepared[i];
	return NULL;
}

/* Prepare it anew for whoever is next, unless that was done already. */
static void unprepare(struct pg_pipe *p, const struct slot *s)
{
	struct prepared *found = prepared_find(p, s->stmt);

	if (found && found->serial == s->serial)
		*found = p->prepared[--p->nprepared];
}

static bool send_prepare(struct pg_pipe *p, const struct slot *s,
			 const char *name)
{
	if (p->nprepared == PG_PREPARED_MAX ||
	    !PQsendPrepare(p->pg, name, s->stmt->sql, 0, NULL))
		return false;
	p->prepared[p->nprepared++] = (struct prepared){s->stmt, s->serial};
	return true;
}

static bool send_job(struct pg_pipe *p, struct slot *s)
{
	const struct prepared *known = prepared_find(p, s->stmt);
	const struct pg_args *args = &s->job->args;
	char name[PG_NAME_MAX + 1];

	s->preparing = !known;
	s->steps = known ? 1 : 2;
	s->serial = known ? known->serial : ++p->serial;
	(void)snprintf(name, sizeof(name), "%u_%s", s->serial, s->stmt->name);
	if (!known && !send_prepare(p, s, name))
		return false;
	return PQsendQueryPrepared(p->pg, name, args->n, args->value,
				   args->length, args->format, 0);
}

int pg_pipe_put(struct pg_pipe *p, struct pg_job *job, enum pg_then then)
{
	struct slot *s = slot_at(p, p->n);

	if (!p->pg || p->n == p->conf.depth)
		return EIO;
	*s = (struct slot){.job = job, .stmt = job->stmt};
	if (!send_job(p, s) ||
	    (then == PG_THEN_SYNC && !PQpipelineSync(p->pg)) ||
	    (then == PG_THEN_FLUSH && !PQsendFlushRequest(p->pg)))
		return EIO;
	job->sent = true;
	if (!p->n)
		p->head_us = clock_us();
	p->syncs += then == PG_THEN_SYNC;
	p->n++;
	return 0;
}

/* ---- results ---- */

static struct slot slot_pop(struct pg_pipe *p)
{
	struct slot s = *slot_at(p, 0);

	p->first = (p->first + 1) % p->conf.depth;
	p->n--;
	return s;
}

/* Off the connection, with what came of it. */
static void done(struct pg_pipe *p, struct slot *s, bool again,
		 uint64_t cost_us)
{
	struct pg_job *job = s->job;

	if (!job) {
		PQclear(s->res);
		return;
	}
	job->sent = false;
	job->res = s->res;
	if (again) {
		PQclear(job->res);
		job->res = NULL;
	}
	p->conf.done(job, again, cost_us, p->conf.arg);
}

/* Whether the first is to be asked once more: what it did is rolled back. */
static bool is_again(const struct slot *s)
{
	struct pg_job *job = s->job;

	if (!job || !job->h || !s->res || !pg_is_error(s->res))
		return false;
	if (pg_is_aborted(s->res))
		return true;
	if (job->retried || !pg_is_retryable(s->res))
		return false;
	job->retried = true;
	return true;
}

static void first_done(struct pg_pipe *p)
{
	struct slot s = slot_pop(p);
	const uint64_t now_us = clock_us(), since_us = p->head_us;

	p->head_us = now_us;
	done(p, &s, is_again(&s), now_us - since_us);
}

static void take_result(struct pg_pipe *p, struct slot *s, PGresult *res)
{
	const bool failed = pg_is_error(res);

	if (s->preparing) {
		s->preparing = false;
		if (!failed) {
			PQclear(res);
			return;
		}
		unprepare(p, s);
	}
	if (failed && pg_is_stale(res))
		unprepare(p, s);
	/* The first error is the one that counts. */
	if (s->res && pg_is_error(s->res)) {
		PQclear(res);
		return;
	}
	PQclear(s->res);
	s->res = res;
}

/* Null: no more results of a step. */
static void take(struct pg_pipe *p, PGresult *res)
{
	struct slot *s = p->n ? slot_at(p, 0) : NULL;

	if (!res) {
		if (s && s->steps && --s->steps == 0 && p->conf.reads)
			first_done(p);
	} else if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
		PQclear(res);
		p->syncs -= p->syncs > 0;
		if (s && !p->conf.reads)
			first_done(p);
		p->conf.synced(p->conf.arg);
	} else if (s && (s->steps || pg_is_error(res))) {
		take_result(p, s, res); /* a commit may fail, too */
	} else {
		PQclear(res);
	}
}

int pg_pipe_read(struct pg_pipe *p)
{
	if (!PQconsumeInput(p->pg))
		return EIO;
	while (p->pg && pg_pipe_is_busy(p) && !PQisBusy(p->pg)) {
		PGresult *res = PQgetResult(p->pg);

		if (PQstatus(p->pg) == CONNECTION_BAD) {
			PQclear(res);
			return EIO;
		}
		take(p, res);
	}
	return p->pg ? 0 : EIO;
}

/* What only reads may be asked once more. Of a write nobody knows. */
static void lose(struct pg_pipe *p, struct slot *s)
{
	struct pg_job *job = s->job;
	const bool again = job && job->h && p->conf.reads && !job->retried;

	if (again)
		job->retried = true;
	else if (job)
		job->err = job->stmt->write ? APP_OUTCOME_UNKNOWN
					    : APP_UNAVAILABLE;
	done(p, s, again, 0);
}

void pg_pipe_end(struct pg_pipe *p)
{
	p->pg = NULL;
	p->nprepared = 0;
	p->syncs = 0;
	while (p->n) {
		struct slot s = slot_pop(p);

		lose(p, &s);
	}
}
