#include "pgres.h"

#include <stdlib.h>

bool pgres_null(const PGresult *res, int row, const char *column)
{
	const int c = PQfnumber(res, column);

	return c < 0 || row >= PQntuples(res) || PQgetisnull(res, row, c);
}

/** @return  Borrowed from the result; NULL for null or no such column */
const char *pgres_text(const PGresult *res, int row, const char *column)
{
	if (pgres_null(res, row, column))
		return NULL;

	return PQgetvalue(res, row, PQfnumber(res, column));
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
