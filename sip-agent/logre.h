/*
 * libre's types as fields of a log line.
 */
#ifndef LOGRE_H
#define LOGRE_H

#include <re.h>

#include "common/log.h"

enum { LOG_SA_SIZE = 64 };

#define LOG_PL(k, pl) LOG_MEM((k), (pl)->p, (pl)->l)
#define LOG_SA(k, sa) logre_sa((k), (sa), (char[LOG_SA_SIZE]){0})

static inline struct log_field logre_sa(const char *key, const struct sa *sa,
					char *text)
{
	(void)re_snprintf(text, LOG_SA_SIZE, "%J", sa);

	return LOG_STR(key, text);
}

#endif
