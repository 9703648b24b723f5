/*
 * user show EMAIL: an account, its contacts and its credentials.
 */
#include "common/json_write.h"
#include "ctl/command/command.h"
#include "ctl/db.h"
#include "ctl/output.h"

static const char account_sql[] =
	"select email, name, created_at, disabled_at, sessions "
	"from inspect.account where email_key = $1";
static const char contacts_sql[] =
	"select n, contact, source, left_s, credential, user_agent "
	"from inspect.login where email = $1 order by n";
static const char credentials_sql[] =
	"select n, username, realm, algorithm, label, used_at "
	"from inspect.credential where email = $1 order by n";

static void print(const PGresult *account, const PGresult *contacts,
		  const PGresult *credentials)
{
	output_record(account, 0);
	output_line("%s", "");
	output_line("contacts: %d", PQntuples(contacts));
	output_table(contacts);
	output_line("%s", "");
	output_line("credentials: %d", PQntuples(credentials));
	output_table(credentials);
}

static enum ctl_exit print_json(const PGresult *account,
				const PGresult *contacts,
				const PGresult *credentials)
{
	struct buf b;

	buf_init(&b, OUTPUT_MAX);
	output_row_json(&b, account, 0);
	json_key(&b, "contacts");
	output_rows_json(&b, contacts);
	json_key(&b, "credentials");
	output_rows_json(&b, credentials);
	buf_char(&b, '}');

	return output_json(&b);
}

enum ctl_exit user_show(struct ctl *c)
{
	char key[AOR_BUF];
	const char *params[] = {key};
	PGresult *account = NULL, *contacts = NULL, *credentials = NULL;
	enum ctl_exit end = command_email_key(key, c->argv[0]);

	if (!end)
		end = db_ask(c->db, &account, account_sql, params, 1);
	if (!end && !PQntuples(account)) {
		ctl_say("There is no account %s.", c->argv[0]);
		end = CTL_REFUSED;
	}
	if (!end)
		params[0] = PQgetvalue(account, 0, 0);
	if (!end)
		end = db_ask(c->db, &contacts, contacts_sql, params, 1);
	if (!end)
		end = db_ask(c->db, &credentials, credentials_sql, params, 1);
	if (!end && c->json)
		end = print_json(account, contacts, credentials);
	else if (!end)
		print(account, contacts, credentials);
	PQclear(account);
	PQclear(contacts);
	PQclear(credentials);

	return end;
}
