/*
 * who: everybody who is logged in, and where.
 */
#include "ctl/command/command.h"
#include "ctl/db.h"
#include "ctl/output.h"

static const char sql[] =
	"select email, n, contact, source, left_s, agent, user_agent "
	"from inspect.login order by email, n";

enum ctl_exit who(struct ctl *c)
{
	PGresult *res;
	enum ctl_exit end = db_ask(c->db, &res, sql, NULL, 0);

	if (end)
		return end;
	end = output_rows(c, res);
	PQclear(res);

	return end;
}
