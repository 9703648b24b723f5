/*
 * credential list EMAIL: its SIP credentials, without what could be used as
 * one.
 */
#include "ctl/command/command.h"
#include "ctl/db.h"
#include "ctl/output.h"

static const char sql[] =
	"select c.n, c.username, c.realm, c.algorithm, c.label, c.created_at, "
	"c.used_at, c.contacts from inspect.account a "
	"left join inspect.credential c on c.email = a.email "
	"where a.email_key = $1 order by c.n";

enum ctl_exit credential_list(struct ctl *c)
{
	char key[AOR_BUF];
	const char *params[] = {key};
	enum ctl_exit end = command_email_key(key, c->argv[0]);
	PGresult *res = NULL;

	if (!end)
		end = db_ask(c->db, &res, sql, params, 1);
	if (end)
		return end;
	if (!PQntuples(res)) {
		ctl_say("There is no account %s.", c->argv[0]);
		end = CTL_REFUSED;
	} else if (!PQgetisnull(res, 0, 0))
		end = output_rows(c, res);
	else if (c->json)
		(void)puts("[]");
	PQclear(res);

	return end;
}
