/*
 * A statement on its way to PostgreSQL: owns copies of its parameters, and
 * sees to it that whoever asked is answered exactly once.
 */
#include <errno.h>
#include <string.h>

#include "common/utf8.h"
#include "pg/pgjob.h"

struct pg_val pg_text(const char *s)
{
	return (struct pg_val){.p = s, .len = s ? strlen(s) : 0};
}

/** Text; what is not set (no pointer) is SQL null, what is empty is '' */
struct pg_val pg_pl(const struct pl *pl)
{
	return (struct pg_val){.p = pl->p, .len = pl->l};
}

struct pg_val pg_int(int64_t n)
{
	struct pg_val v = {.p = NULL};

	(void)re_snprintf(v.num, sizeof(v.num), "%lld", (long long)n);

	return v;
}

struct pg_val pg_bool(bool b)
{
	return pg_text(b ? "t" : "f");
}

struct pg_val pg_null(void)
{
	return (struct pg_val){.p = NULL};
}

static void job_destructor(void *arg)
{
	struct pg_job *job = arg;

	list_unlink(&job->le);
	if (job->h) {
		const struct pg_answer gone = {
			.end = PG_AWAY,
			.slug = "",
			.detail = "",
			.sqlstate = "",
		};
		pg_answer_h *h = job->h;

		job->h = NULL;
		h(&gone, job->arg);
	}
	mem_deref(job->data);
}

/** Whether PostgreSQL takes this as text: UTF-8 without NUL */
bool pg_is_text(const char *p, size_t len)
{
	return !memchr(p, '\0', len) && utf8_valid(p, len) == len;
}

static int job_fill(struct pg_job *job, const struct pg_val *valv)
{
	size_t size = 1;
	char *p;

	for (int i = 0; i < job->stmt->params; i++)
		size += valv[i].len + sizeof(valv[i].num) + 1;

	job->data = p = mem_alloc(size, NULL);
	if (!p)
		return ENOMEM;

	for (int i = 0; i < job->stmt->params; i++) {
		const struct pg_val *v = &valv[i];
		const bool binary = job->stmt->binary >> i & 1;
		const char *src = v->num[0] ? v->num : v->p;
		const size_t len = v->num[0] ? strlen(v->num) : v->len;

		if (!src)
			continue;
		if (!binary && !pg_is_text(src, len))
			return EILSEQ;
		memcpy(p, src, len);
		p[len] = '\0';
		job->valv[i] = p;
		job->lenv[i] = (int)len;
		job->fmtv[i] = binary;
		p += len + 1;
	}

	return 0;
}

/**
 * Allocate a job
 *
 * @param jobp        Set to the job; owned by the caller
 * @param stmt        Statement, must outlive the job
 * @param valv        stmt->params values, copied
 * @param deadline_ms When (tmr_jiffies) the asker stops waiting
 * @param h           Called exactly once, at the latest when the job dies
 *
 * @return 0, EILSEQ where a text is not UTF-8, E2BIG, ENOMEM; then h is not
 *         called
 */
int pg_job_alloc(struct pg_job **jobp, const struct pg_stmt *stmt,
		 const struct pg_val *valv, uint64_t deadline_ms,
		 pg_answer_h *h, void *arg)
{
	struct pg_job *job;
	int err;

	if (stmt->params > PG_PARAMS_MAX)
		return E2BIG;

	job = mem_zalloc(sizeof(*job), job_destructor);
	if (!job)
		return ENOMEM;

	job->stmt = stmt;
	job->deadline_ms = deadline_ms;
	err = job_fill(job, valv);
	if (err) {
		mem_deref(job);
		return err;
	}

	job->h = h;
	job->arg = arg;
	*jobp = job;

	return 0;
}

/** Answer who asked, unless that has happened */
void pg_job_finish(struct pg_job *job, const struct pg_answer *ans)
{
	pg_answer_h *h = job->h;

	job->h = NULL;
	if (h)
		h(ans, job->arg);
}

/** Answer that the database did not, and why (for the log) */
void pg_job_fail(struct pg_job *job, const char *why)
{
	const struct pg_answer ans = {
		.end = PG_AWAY,
		.slug = "",
		.detail = why,
		.sqlstate = "",
	};

	pg_job_finish(job, &ans);
}

/** Nobody is to be answered any more */
void pg_job_disown(struct pg_job *job)
{
	job->h = NULL;
}

void pg_job_append(struct list *list, struct pg_job *job)
{
	list_append(list, &job->le, job);
}

void pg_job_unlink(struct pg_job *job)
{
	list_unlink(&job->le);
}

uint64_t pg_job_deadline(const struct pg_job *job)
{
	return job->deadline_ms;
}
