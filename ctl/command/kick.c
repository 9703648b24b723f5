/*
 * kick EMAIL [N]: a contact ends, or all that an account has open. Who has the
 * password or a credential may come again.
 */
#include "common/json_write.h"
#include "ctl/command/command.h"
#include "ctl/output.h"

enum {
	COUNT_SIZE = 24,
};

static enum ctl_exit tell(const struct ctl *c, const char *email,
			  const char *contacts)
{
	struct buf b;

	if (!c->json && c->argv[1]) {
		output_line("Contact %s of %s has ended.", c->argv[1], email);
		return CTL_DONE;
	}
	if (!c->json) {
		output_line("%s is thrown out: contacts (%s), tokens, streams "
			    "and subscriptions have ended.",
			    email, contacts);
		return CTL_DONE;
	}
	buf_init(&b, OUTPUT_MAX);
	buf_char(&b, '{');
	json_member(&b, "email", email);
	buf_str(&b, ",\"contacts\":");
	buf_str(&b, contacts);
	buf_char(&b, '}');

	return output_json(&b);
}

enum ctl_exit kick(struct ctl *c)
{
	char email[AOR_BUF], contacts[COUNT_SIZE];
	const char *params[] = {email, c->argv[1]};
	enum ctl_exit end = command_email(email, c->argv[0]);

	if (!end && c->argv[1])
		end = command_number(c->argv[1]);
	if (!end)
		end = command_call(c, "select inspect.kick($1, $2)", params, 2,
				   contacts, sizeof(contacts));
	if (end)
		return end;

	return tell(c, email, contacts);
}
