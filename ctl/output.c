#include "ctl/output.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/json_write.h"
#include "common/utf8.h"

/* Types of PostgreSQL (pg_type.dat) that JSON has too. */
enum {
	TYPE_BOOL = 16,
	TYPE_INT8 = 20,
	TYPE_INT2 = 21,
	TYPE_INT4 = 23,
	TYPE_NUMERIC = 1700,
};

enum {
	LINE_SIZE = 4096,
	GAP = 2, /* between columns */
	COLUMNS_MAX = 16,
	CHARACTER_MAX = 4, /* bytes of UTF-8 */
};

/* ---- what a terminal is told ---- */

/* Characters that a terminal takes as orders (C0, DEL, C1: ECMA-48), and those
 * by which a line shows something else than it has (bidirectional formatting,
 * line separators). */
static const struct {
	uint32_t from, to;
} hidden[] = {
	{0x00, 0x1f},	  {0x7f, 0x9f},	    {0x061c, 0x061c},
	{0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
};

static bool is_shown(uint32_t code)
{
	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
		if (code >= hidden[i].from && code <= hidden[i].to)
			return false;
	}

	return true;
}

/* @param code  its code point; of a byte that is no UTF-8: 0
 * @return  how many bytes the character at s has */
static size_t character_at(const char *s, uint32_t *code)
{
	static const unsigned char bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	const size_t n = utf8_char(s, strnlen(s, CHARACTER_MAX));

	*code = (unsigned char)s[0] & bits[n];
	for (size_t i = 1; i < n; i++)
		*code = *code << 6 | ((unsigned char)s[i] & 0x3f);

	return n ? n : 1;
}

/* ---- JSON ---- */

static void add_value(struct buf *b, const PGresult *res, int row, int column)
{
	const char *value = PQgetvalue(res, row, column);

	if (PQgetisnull(res, row, column)) {
		buf_str(b, "null");
		return;
	}
	switch (PQftype(res, column)) {
	case TYPE_BOOL:
		buf_str(b, value[0] == 't' ? "true" : "false");
		break;
	case TYPE_INT8:
	case TYPE_INT2:
	case TYPE_INT4:
	case TYPE_NUMERIC:
		buf_str(b, value);
		break;
	default:
		json_cstr(b, value);
	}
}

/** A row as an object, without its closing brace */
void output_row_json(struct buf *b, const PGresult *res, int row)
{
	buf_char(b, '{');
	for (int i = 0; i < PQnfields(res); i++) {
		if (i)
			buf_char(b, ',');
		json_cstr(b, PQfname(res, i));
		buf_char(b, ':');
		add_value(b, res, row, i);
	}
}

/** All rows as an array of objects */
void output_rows_json(struct buf *b, const PGresult *res)
{
	buf_char(b, '[');
	for (int i = 0; i < PQntuples(res); i++) {
		if (i)
			buf_char(b, ',');
		output_row_json(b, res, i);
		buf_char(b, '}');
	}
	buf_char(b, ']');
}

/** Print JSON, and free it */
enum ctl_exit output_json(struct buf *b)
{
	const bool failed = b->failed;
	const char *s = failed ? "" : b->p;
	uint32_t code;

	/* Outside of strings JSON has no such characters. */
	for (size_t n; *s; s += n) {
		n = character_at(s, &code);
		if (is_shown(code))
			(void)fwrite(s, 1, n, stdout);
		else
			(void)printf("\\u%04x", (unsigned)code);
	}
	if (failed)
		ctl_say("no memory");
	else
		(void)putchar('\n');
	buf_free(b);

	return failed ? CTL_UNREACHABLE : CTL_DONE;
}

/* ---- text ---- */

/* @return  how many characters it has */
static int print_value(const char *s, FILE *f)
{
	int width = 0;
	uint32_t code;

	for (size_t n; *s; s += n, width++) {
		n = character_at(s, &code);
		if (f && is_shown(code))
			(void)fwrite(s, 1, n, f);
		else if (f)
			(void)fputc('?', f);
	}

	return width;
}

static const char *text_at(const PGresult *res, int row, int column)
{
	const char *value = PQgetvalue(res, row, column);

	if (PQgetisnull(res, row, column))
		return "-";
	if (PQftype(res, column) == TYPE_BOOL)
		return value[0] == 't' ? "yes" : "no";

	return value;
}

static int width_of(const PGresult *res, int column)
{
	int width = print_value(PQfname(res, column), NULL);

	for (int row = 0; row < PQntuples(res); row++) {
		const int n = print_value(text_at(res, row, column), NULL);

		width = n > width ? n : width;
	}

	return width;
}

static void print_padded(const char *text, int width)
{
	const int n = print_value(text, stdout);

	(void)printf("%*s", width - n + GAP, "");
}

/** All rows, each column as wide as its widest value; no rows are no lines */
void output_table(const PGresult *res)
{
	const int last = PQnfields(res) - 1;
	int width[COLUMNS_MAX] = {0};

	if (PQntuples(res) == 0 || last >= COLUMNS_MAX)
		return;
	for (int i = 0; i < last; i++)
		width[i] = width_of(res, i);
	for (int row = -1; row < PQntuples(res); row++) {
		for (int i = 0; i <= last; i++) {
			const char *text = row < 0 ? PQfname(res, i)
						   : text_at(res, row, i);

			if (i < last)
				print_padded(text, width[i]);
			else
				(void)print_value(text, stdout);
		}
		(void)putchar('\n');
	}
}

/** One row, a line a column */
void output_record(const PGresult *res, int row)
{
	int width = 0;

	for (int i = 0; i < PQnfields(res); i++) {
		const int n = print_value(PQfname(res, i), NULL);

		width = n > width ? n : width;
	}
	for (int i = 0; i < PQnfields(res); i++) {
		print_padded(PQfname(res, i), width);
		(void)print_value(text_at(res, row, i), stdout);
		(void)putchar('\n');
	}
}

/** Rows by either way */
enum ctl_exit output_rows(const struct ctl *c, const PGresult *res)
{
	struct buf b;

	if (!c->json) {
		output_table(res);
		return CTL_DONE;
	}
	buf_init(&b, OUTPUT_MAX);
	output_rows_json(&b, res);

	return output_json(&b);
}

/** One line of a terminal, whatever is in it */
void output_text(FILE *f, const char *line)
{
	(void)print_value(line, f);
	(void)fputc('\n', f);
}

/** A sentence of ours, and a line feed */
void output_line(const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	output_text(stdout, line);
}
