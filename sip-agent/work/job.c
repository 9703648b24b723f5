/*
 * A claimed job as a request: sent once, over the flow or to the contact that
 * its row names.
 */
#include "work/job.h"

#include <errno.h>

#include "common/pgres.h"
#include "parse/uri.h"
#include "pg/pgval.h"
#include "transaction/dialog.h"

static void free_text(const char **sp)
{
	mem_deref((void *)(uintptr_t)*sp);
	*sp = NULL;
}

/* Frees what is not needed any more once the job has ended */
static void let_go(struct job *job)
{
	job->uac = mem_deref(job->uac);
	job->req.mb = mem_deref(job->req.mb);
	free_text(&job->req.uri);
	free_text(&job->req.route);
	free_text(&job->req.request_id);
	free_text(&job->req.flow);
}

static void destructor(void *arg)
{
	struct job *job = arg;

	list_unlink(&job->le);
	let_go(job);
}

/**
 * Allocate a job
 *
 * @param size Of a struct that begins with a job; the rest of it is zero
 * @param h    Called once, when it has ended
 *
 * @return NULL without memory
 */
void *job_alloc(size_t size, job_end_h *h, void *arg)
{
	struct job *job = mem_zalloc(size, destructor);

	if (!job)
		return NULL;

	job->endh = h;
	job->arg = arg;

	return job;
}

/**
 * Copy a column of the row, for req
 *
 * @param sp Set to the text, owned; left as it is where the column is null or
 *           empty
 */
int job_take(const char **sp, const struct pg_answer *ans, int row,
	     const char *column)
{
	const char *text = pgres_text(ans->res, row, column);
	char *copy;
	int err;

	if (!text || !*text)
		return 0;

	err = str_dup(&copy, text);
	if (!err)
		*sp = copy;

	return err;
}

/**
 * Set the Request-URI
 *
 * @return 0, EINVAL or ENOMEM
 */
int job_set_target(struct job *job, const char *contact)
{
	char *uri;
	int err;

	err = uri_of_contact(&uri, contact);
	if (!err)
		job->req.uri = uri;

	return err;
}

/**
 * Set Request-URI and Route to those of a request within a dialog
 *
 * @return 0, EINVAL or ENOMEM
 */
int job_set_dialog(struct job *job, const struct dialog *d)
{
	char *uri, *route;
	int err;

	err = dialog_way(&uri, &route, d);
	if (err)
		return err;
	job->req.uri = uri;
	job->req.route = route;

	return 0;
}

/**
 * End a job, unless it has ended: its handler is called
 *
 * @param code SIP code; 0: it never left us
 * @param msg  The final answer, or NULL
 */
void job_end(struct job *job, int code, const char *reason,
	     const struct sip_msg *msg)
{
	job_end_h *h = job->endh;

	job->endh = NULL;
	job->uac = mem_deref(job->uac);
	if (!h)
		return;

	job->code = code;
	job->answered = msg != NULL;
	str_ncpy(job->reason, reason, sizeof(job->reason));
	mem_ref(job);
	h(job, msg, job->arg);
	let_go(job);
	mem_deref(job);
}

static void on_uac_end(int code, const char *reason, const struct sip_msg *msg,
		       void *arg)
{
	struct job *job = arg;

	job->went_out = uac_went_out(job->uac);
	job_end(job, code, reason, msg);
}

/** Send the request; the end is told by the handler, maybe within this call */
void job_send(struct job *job, struct agent *ag)
{
	if (uac_alloc(&job->uac, ag, &job->req, on_uac_end, job))
		job_end(job, 0, "", NULL);
	else
		uac_start(job->uac);
}

/** The connection that it was sent over has closed */
void job_flow_failed(struct job *job)
{
	if (job->uac)
		uac_flow_failed(job->uac);
}
