/*
 * What several commands do.
 */
#include "ctl/command/command.h"

#include <string.h>

#include "common/json_write.h"
#include "ctl/ask.h"
#include "ctl/db.h"
#include "ctl/output.h"

enum {
	NUMBER_MAX = 18, /* digits */
};

/** An email in its normal form, as the database has it */
enum ctl_exit command_email(char email[static AOR_BUF], const char *text)
{
	if (!aor_parse(email, text, strlen(text)))
		return CTL_DONE;
	ctl_say("%s is not an email, as alice@example.net is; before the @ it is "
		"ASCII",
		text);

	return CTL_USAGE;
}

/** What an email is known by, whatever its case, as of inspect.account */
enum ctl_exit command_email_key(char key[static AOR_BUF], const char *text)
{
	const enum ctl_exit end = command_email(key, text);

	if (!end)
		aor_fold(key);

	return end;
}

/** Whether it is the number of a contact or credential */
enum ctl_exit command_number(const char *text)
{
	const size_t n = strlen(text);

	if (n && n <= NUMBER_MAX && strspn(text, "0123456789") == n)
		return CTL_DONE;
	ctl_say("%s is not a number", text);

	return CTL_USAGE;
}

/**
 * Call a function that gives one value.
 *
 * @param out  the value as text, "" for null; NULL: it does not matter
 */
enum ctl_exit command_call(struct ctl *c, const char *sql,
			   const char *const *params, int n, char *out,
			   size_t size)
{
	PGresult *res;
	const enum ctl_exit end = db_ask(c->db, &res, sql, params, n);

	if (end)
		return end;
	if (out) {
		const char *value = PQntuples(res) ? PQgetvalue(res, 0, 0) : "";
		const size_t len = strnlen(value, size - 1);

		memcpy(out, value, len);
		out[len] = '\0';
	}
	PQclear(res);

	return CTL_DONE;
}

/**
 * The password that is given with --password, else one that is made here.
 *
 * @param password  in clear: wipe it
 */
enum ctl_exit command_new_password(const struct ctl *c,
				   char password[static PASSWORD_BUF],
				   char hash[static PASSWORD_HASH_SIZE])
{
	enum ctl_exit end = CTL_DONE;

	if (c->password)
		end = ask_password(password);
	else if (password_make(password))
		end = CTL_UNREACHABLE;
	if (!end && password_hash(hash, password, NULL))
		end = CTL_UNREACHABLE;
	if (end == CTL_UNREACHABLE)
		ctl_say("no password can be made or hashed on this host");

	return end;
}

/** Show whose password it is and, where it was made here, which */
enum ctl_exit command_tell_password(const struct ctl *c, const char *email,
				    const char *password)
{
	struct buf b;

	if (!c->json) {
		if (!c->password)
			output_line("password: %s", password);
		return CTL_DONE;
	}
	buf_init(&b, OUTPUT_MAX);
	buf_char(&b, '{');
	json_member(&b, "email", email);
	if (!c->password)
		json_member(&b, "password", password);
	buf_char(&b, '}');

	return output_json(&b);
}
