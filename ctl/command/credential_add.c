/*
 * credential add EMAIL: what a SIP phone signs in with; shown once.
 */
#include "common/json_write.h"
#include "common/pgres.h"
#include "common/secret.h"
#include "ctl/command/command.h"
#include "ctl/db.h"
#include "ctl/output.h"

static enum ctl_exit tell(const struct ctl *c, const char *email,
			  const PGresult *res, const char *password)
{
	struct buf b;

	if (!c->json) {
		output_line("%s has credential %s now.", email,
			    pgres_text(res, 0, "n"));
		output_line("username: %s", pgres_text(res, 0, "username"));
		output_line("password: %s", password);
		output_line("domain:   %s", pgres_text(res, 0, "realm"));
		return CTL_DONE;
	}
	buf_init(&b, OUTPUT_MAX);
	output_row_json(&b, res, 0);
	json_member(&b, "email", email);
	json_member(&b, "password", password);
	buf_char(&b, '}');

	return output_json(&b);
}

enum ctl_exit credential_add(struct ctl *c)
{
	char email[AOR_BUF], password[PASSWORD_SIZE];
	const char *params[] = {email, password, c->label ? c->label : "",
				c->sha256 ? "SHA-256" : "MD5"};
	enum ctl_exit end = command_email(email, c->argv[0]);
	PGresult *res;

	if (end)
		return end;
	if (password_make(password)) {
		ctl_say("no password can be made on this host");
		return CTL_UNREACHABLE;
	}
	end = db_ask(c->db, &res,
		     "select * from inspect.credential_add($1, $2, $3, $4)",
		     params, 4);
	if (!end) {
		end = tell(c, email, res, password);
		PQclear(res);
	}
	secret_wipe(password, sizeof(password));

	return end;
}
