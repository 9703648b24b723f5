/*
 * SIP status codes: their phrases, and what refusals of the database mean.
 */
#ifndef CODES_H
#define CODES_H

#include <stdbool.h>
#include <stdint.h>

struct pg_answer;

const char *codes_reason(uint16_t scode);
const char *codes_reason_of(const struct pg_answer *ans);
uint16_t codes_of_answer(const struct pg_answer *ans);
uint16_t codes_of_error(int err);
bool codes_is_our_lack(int err);

#endif
