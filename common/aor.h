/*
 * Emails, which are SIP addresses-of-record too: one form for both doors.
 */
#ifndef AOR_H
#define AOR_H

#include <stdbool.h>
#include <stddef.h>

enum {
	AOR_MAX = 254, /**< RFC 5321, section 4.5.3.1.3 */
	AOR_BUF = AOR_MAX + 1,
};

int aor_parse(char out[static AOR_BUF], const char *p, size_t n);
int domain_parse(char out[static AOR_BUF], const char *p, size_t n);
const char *aor_domain(const char *aor);
bool aor_same(const char *a, const char *b);
void aor_fold(char *aor);

#endif
