/*
 * user disable EMAIL, user enable EMAIL: an account is thrown out and cannot
 * sign in until it is enabled again; what it has stays.
 */
#include "common/json_write.h"
#include "ctl/command/command.h"
#include "ctl/output.h"

static enum ctl_exit tell(const struct ctl *c, const char *email, bool disabled,
			  bool changed)
{
	struct buf b;

	if (!c->json) {
		output_line("%s is %s%s.", email,
			    disabled ? "disabled" : "enabled",
			    changed ? "" : " already");
		return CTL_DONE;
	}
	buf_init(&b, OUTPUT_MAX);
	buf_char(&b, '{');
	json_member(&b, "email", email);
	json_key(&b, "disabled");
	buf_str(&b, disabled ? "true" : "false");
	json_key(&b, "changed");
	buf_str(&b, changed ? "true" : "false");
	buf_char(&b, '}');

	return output_json(&b);
}

static enum ctl_exit set(struct ctl *c, const char *sql, bool disabled)
{
	char email[AOR_BUF], changed[2] = "";
	const char *params[] = {email};
	enum ctl_exit end = command_email(email, c->argv[0]);

	if (!end)
		end = command_call(c, sql, params, 1, changed, sizeof(changed));
	if (end)
		return end;

	return tell(c, email, disabled, changed[0] == 't');
}

enum ctl_exit user_disable(struct ctl *c)
{
	return set(c, "select inspect.user_disable($1)", true);
}

enum ctl_exit user_enable(struct ctl *c)
{
	return set(c, "select inspect.user_enable($1)", false);
}
