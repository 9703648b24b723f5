/*
 * setting [NAME [VALUE]]: what the database holds all programs to; what is in
 * the settings file is each program's.
 */
#include <string.h>

#include "common/json_write.h"
#include "ctl/command/command.h"
#include "ctl/db.h"
#include "ctl/output.h"

enum {
	VALUE_SIZE = 64,
};

static const char list_sql[] =
	"select name, value, standard, unit, what from inspect.setting "
	"where $1::text is null or name = $1 order by name";

static enum ctl_exit show(struct ctl *c, const char *name)
{
	PGresult *res;
	enum ctl_exit end = db_ask(c->db, &res, list_sql, &name, 1);
	struct buf b;

	if (end)
		return end;
	if (!PQntuples(res)) {
		ctl_say("There is no setting %s in the database; `restsipctl setting` "
			"lists them. What a program is told as it starts is in "
			"restsip.ini.",
			name);
		end = CTL_REFUSED;
	} else if (!name)
		end = output_rows(c, res);
	else if (!c->json)
		output_record(res, 0);
	else {
		buf_init(&b, OUTPUT_MAX);
		output_row_json(&b, res, 0);
		buf_char(&b, '}');
		end = output_json(&b);
	}
	PQclear(res);

	return end;
}

static enum ctl_exit change(struct ctl *c, const char *name, const char *value)
{
	char was[VALUE_SIZE];
	const char *params[] = {name, strcmp(value, "default") ? value : NULL};
	const enum ctl_exit end = command_call(
		c, "select inspect.set_setting($1, $2)", params, 2, was,
		sizeof(was));

	if (end)
		return end;
	if (!c->json)
		output_line("%s was %s.", name, was);

	return show(c, name);
}

enum ctl_exit setting(struct ctl *c)
{
	if (c->argc == 2)
		return change(c, c->argv[0], c->argv[1]);

	return show(c, c->argv[0]);
}
