/*
 * What could not be told is told at the next look, and so is another end, which
 * a renewed certificate has.
 */
#include "transport/certificate_told.h"

#include <errno.h>

#include "pg/pgloop.h"
#include "pg/pgval.h"
#include "transport/certificate.h"

struct certificate_told {
	struct pgloop *pl;
	const struct tls *tls;
	struct tmr tmr;
	int64_t ends; /* as the database knows it; -1: it does not */
};

static const struct pg_stmt stmt_certificate = {
	.name = "agent_certificate",
	.sql = "select api.agent_certificate($1, $2)",
	.nparams = 2,
	.write = true,
};

static void on_told(const struct pg_answer *ans, void *arg)
{
	struct certificate_told *ct = arg;

	if (ans->end != PG_OK)
		ct->ends = -1;
	mem_deref(ct);
}

static void tell(struct certificate_told *ct, int64_t ends)
{
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ct->pl)),
		ends ? pg_int(ends) : pg_null(),
	};

	if (pgloop_query_in(ct->pl, PG_JANITOR, 0, &stmt_certificate, valv,
			    on_told, ct))
		return;
	mem_ref(ct);
	ct->ends = ends;
}

static void look(void *arg)
{
	struct certificate_told *ct = arg;
	const int64_t ends = certificate_ends(ct->tls);

	tmr_start(&ct->tmr, CERTIFICATE_TOLD_MS, look, ct);
	if (ends != ct->ends && pgloop_is_ready(ct->pl))
		tell(ct, ends);
}

static void destructor(void *arg)
{
	struct certificate_told *ct = arg;

	tmr_cancel(&ct->tmr);
}

/**
 * Tell the database from now on
 *
 * @param ctp Set to what does so, owned by the caller
 * @param pl  Borrowed; asks nothing more once it has gone
 * @param tls libre's context, borrowed; NULL where there is no TLS
 *
 * @return 0 or ENOMEM
 */
int certificate_told_alloc(struct certificate_told **ctp, struct pgloop *pl,
			   const struct tls *tls)
{
	struct certificate_told *ct = mem_zalloc(sizeof(*ct), destructor);

	if (!ct)
		return ENOMEM;

	ct->pl = pl;
	ct->tls = tls;
	ct->ends = -1;
	tmr_start(&ct->tmr, CERTIFICATE_TOLD_MS, look, ct);
	*ctp = ct;

	return 0;
}
