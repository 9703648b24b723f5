/*
 * user passwd EMAIL: a new password. Whoever was signed in with the one before
 * is not any more.
 */
#include "common/secret.h"
#include "ctl/command/command.h"
#include "ctl/output.h"

enum ctl_exit user_passwd(struct ctl *c)
{
	char email[AOR_BUF], password[PASSWORD_BUF], hash[PASSWORD_HASH_SIZE];
	enum ctl_exit end = command_email(email, c->argv[0]);

	if (end)
		return end;
	end = command_new_password(c, password, hash);
	if (!end) {
		const char *params[] = {email, hash, c->revoke ? "t" : "f"};

		end = command_call(c, "select inspect.user_passwd($1, $2, $3)",
				   params, 3, NULL, 0);
	}
	if (!end && !c->json)
		output_line("%s has a new password; who was signed in with "
			    "the one before is so no more.",
			    email);
	if (!end)
		end = command_tell_password(c, email, password);
	secret_wipe(password, sizeof(password));

	return end;
}
