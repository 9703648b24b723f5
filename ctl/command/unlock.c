/*
 * unlock EMAIL|SOURCE: what an account or an address has got wrong too often
 * is forgotten.
 */
#include <string.h>

#include "common/json_write.h"
#include "ctl/command/command.h"
#include "ctl/output.h"

enum {
	COUNT_SIZE = 24,
};

enum ctl_exit unlock(struct ctl *c)
{
	char email[AOR_BUF], counters[COUNT_SIZE];
	const char *params[] = {c->argv[0]};
	enum ctl_exit end = CTL_DONE;
	struct buf b;

	if (strchr(c->argv[0], '@')) {
		end = command_email(email, c->argv[0]);
		params[0] = email;
	}
	if (!end)
		end = command_call(c, "select inspect.unlock($1)", params, 1,
				   counters, sizeof(counters));
	if (end)
		return end;
	if (!c->json) {
		output_line(strcmp(counters, "0")
				    ? "%s is not held up any more."
				    : "%s was not held up by anything.",
			    params[0]);
		return CTL_DONE;
	}
	buf_init(&b, OUTPUT_MAX);
	buf_char(&b, '{');
	json_member(&b, "who", params[0]);
	buf_str(&b, ",\"counters\":");
	buf_str(&b, counters);
	buf_char(&b, '}');

	return output_json(&b);
}
