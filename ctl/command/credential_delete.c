/*
 * credential delete EMAIL N: a phone that is lost, or sold.
 */
#include "common/json_write.h"
#include "ctl/command/command.h"
#include "ctl/output.h"

enum ctl_exit credential_delete(struct ctl *c)
{
	char email[AOR_BUF];
	const char *n = c->argv[1];
	const char *params[] = {email, n};
	enum ctl_exit end = command_email(email, c->argv[0]);
	struct buf b;

	if (!end)
		end = command_number(n);
	if (!end)
		end = command_call(c,
				   "select inspect.credential_delete($1, $2)",
				   params, 2, NULL, 0);
	if (end)
		return end;
	if (!c->json) {
		output_line("Credential %s of %s is deleted; what its phone "
			    "had registered has ended.",
			    n, email);
		return CTL_DONE;
	}
	buf_init(&b, OUTPUT_MAX);
	buf_char(&b, '{');
	json_member(&b, "email", email);
	buf_str(&b, ",\"n\":");
	buf_str(&b, n);
	buf_str(&b, ",\"deleted\":true}");

	return output_json(&b);
}
