/*
 * password.h: passwords that we make, to be typed into a phone once.
 */
#ifndef RESTSIP_PASSWORD_H
#define RESTSIP_PASSWORD_H

#include <stdbool.h>

enum {
	PASSWORD_SIZE = 25, /* characters with the NUL: 115 random bits */
};

/** @return 0 or EIO */
int password_make(char out[static PASSWORD_SIZE]);

#endif
