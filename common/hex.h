/*
 * Hexadecimal digits.
 */
#ifndef HEX_H
#define HEX_H

#include <stddef.h>
#include <stdint.h>

int hex_value(char c);
void hex_encode(char *out, const uint8_t *p, size_t n);

#endif
