/*
 * What a command found or did, on standard output: rows as a table or as JSON.
 */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

#include <stdio.h>

#include <libpq-fe.h>

#include "common/buf.h"
#include "ctl/ctl.h"

enum {
	OUTPUT_MAX = 256 << 20, /**< A list of everybody who is logged in */
};

enum ctl_exit output_rows(const struct ctl *c, const PGresult *res);
void output_row_json(struct buf *b, const PGresult *res, int row);
void output_rows_json(struct buf *b, const PGresult *res);
enum ctl_exit output_json(struct buf *b);
void output_table(const PGresult *res);
void output_record(const PGresult *res, int row);
void output_text(FILE *f, const char *line);
void output_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
