/*
 * common/secret.h beside libre: both have a base64_decode.
 */
#ifndef HASH_H
#define HASH_H

#include <re.h>

#define base64_decode secret_base64_decode
#include "secret.h"
#undef base64_decode

#endif
