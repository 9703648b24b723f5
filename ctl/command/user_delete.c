/*
 * user delete EMAIL: an account ends for good, with its mail, calls and
 * credentials.
 */
#include <stdio.h>

#include "common/json_write.h"
#include "ctl/ask.h"
#include "ctl/command/command.h"
#include "ctl/output.h"

enum {
	QUESTION_SIZE = 512,
};

enum ctl_exit user_delete(struct ctl *c)
{
	char email[AOR_BUF], question[QUESTION_SIZE];
	const char *params[] = {email};
	enum ctl_exit end = command_email(email, c->argv[0]);
	struct buf b;

	if (end)
		return end;
	(void)snprintf(question, sizeof(question),
		       "%s is deleted with mail, calls and credentials; this "
		       "cannot be undone (user disable can).",
		       email);
	if (!c->yes)
		end = ask_sure(question, email);
	if (!end)
		end = command_call(c, "select inspect.user_delete($1)", params,
				   1, NULL, 0);
	if (end)
		return end;
	if (!c->json) {
		output_line("%s is deleted.", email);
		return CTL_DONE;
	}
	buf_init(&b, OUTPUT_MAX);
	buf_char(&b, '{');
	json_member(&b, "email", email);
	buf_str(&b, ",\"deleted\":true}");

	return output_json(&b);
}
