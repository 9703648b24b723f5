#include "common/pgres.h"

#include <stdlib.h>
#include <string.h>

/* As PQfnumber(), which copies the name each time to fold its case */
static int find(const PGresult *res, const char *column)
{
	const int n = PQnfields(res);

	for (int c = 0; c < n; c++) {
		if (!strcmp(PQfname(res, c), column))
			return c;
	}

	return -1;
}

static bool is_null(const PGresult *res, int row, int c)
{
	return c < 0 || row >= PQntuples(res) || PQgetisnull(res, row, c);
}

bool pgres_null(const PGresult *res, int row, const char *column)
{
	return is_null(res, row, find(res, column));
}

/** @return  Borrowed from the result; NULL for null or no such column */
const char *pgres_text(const PGresult *res, int row, const char *column)
{
	const int c = find(res, column);

	return is_null(res, row, c) ? NULL : PQgetvalue(res, row, c);
}

int64_t pgres_int(const PGresult *res, int row, const char *column)
{
	const char *text = pgres_text(res, row, column);

	return text ? (int64_t)strtoll(text, NULL, 10) : 0;
}

bool pgres_bool(const PGresult *res, int row, const char *column)
{
	const char *text = pgres_text(res, row, column);

	return text && text[0] == 't';
}

/**
 * A bytea.
 *
 * @param len  Set to its length in bytes
 * @return  Owned by the caller: PQfreemem(); NULL for null or without memory
 */
unsigned char *pgres_bytes(const PGresult *res, int row, const char *column,
			   size_t *len)
{
	const char *text = pgres_text(res, row, column);

	*len = 0;

	return text ? PQunescapeBytea((const unsigned char *)text, len) : NULL;
}
