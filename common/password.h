/*
 * Account passwords: what they may be, their hash (crypt(3), yescrypt), and
 * those that we make, which are to be typed into a phone once.
 */
#ifndef PASSWORD_H
#define PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

enum {
	PASSWORD_MIN = 8,	  /**< Characters of one that a person chose */
	PASSWORD_MAX = 511,	  /**< Bytes: what crypt(3) takes */
	PASSWORD_BUF = 512,	  /**< With the NUL */
	PASSWORD_HASH_SIZE = 384, /**< CRYPT_OUTPUT_SIZE */
	PASSWORD_SIZE = 25,	  /**< Of one that we make: 115 random bits */
};

size_t password_characters(const char *p, size_t n);
int password_make(char out[static PASSWORD_SIZE]);
int password_hash(char hash[static PASSWORD_HASH_SIZE], const char *password,
		  const char *setting);

#endif
