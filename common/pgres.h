/*
 * Values out of a PostgreSQL result in text format. Null is NULL, 0 or false.
 */
#ifndef PGRES_H
#define PGRES_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool pgres_null(const PGresult *res, int row, const char *column);
const char *pgres_text(const PGresult *res, int row, const char *column);
int64_t pgres_int(const PGresult *res, int row, const char *column);
bool pgres_bool(const PGresult *res, int row, const char *column);
unsigned char *pgres_bytes(const PGresult *res, int row, const char *column,
			   size_t *len);

#endif
