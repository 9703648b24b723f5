/*
 * user add EMAIL: an account, whether sign-up is open or not.
 */
#include "common/config.h"
#include "common/json_write.h"
#include "common/secret.h"
#include "ctl/command/command.h"
#include "ctl/output.h"

enum {
	PROFILE_MAX = 64 << 10, /* the database has the last word */
};

static enum ctl_exit add(struct ctl *c, const char *email, const char *hash)
{
	const char *params[] = {email, hash, "{}"};
	struct buf profile;
	enum ctl_exit end;

	buf_init(&profile, PROFILE_MAX);
	buf_char(&profile, '{');
	if (c->name)
		json_member(&profile, "name", c->name);
	buf_char(&profile, '}');
	if (profile.failed) {
		ctl_say("that name is too long");
		buf_free(&profile);
		return CTL_REFUSED;
	}
	params[2] = profile.p;
	end = command_call(c, "select inspect.user_add($1, $2, $3)", params, 3,
			   NULL, 0);
	buf_free(&profile);

	return end;
}

enum ctl_exit user_add(struct ctl *c)
{
	char email[AOR_BUF], password[PASSWORD_BUF], hash[PASSWORD_HASH_SIZE];
	enum ctl_exit end = command_email(email, c->argv[0]);

	if (end)
		return end;
	if (!config_hosts(c->config, aor_domain(email))) {
		ctl_say("%s is no domain of this system: its domains are %s "
			"(setting domains of [http])",
			aor_domain(email), c->config->http.domains);
		return CTL_REFUSED;
	}
	end = command_new_password(c, password, hash);
	if (!end)
		end = add(c, email, hash);
	if (!end && !c->json)
		output_line("%s has an account now.", email);
	if (!end)
		end = command_tell_password(c, email, password);
	secret_wipe(password, sizeof(password));

	return end;
}
