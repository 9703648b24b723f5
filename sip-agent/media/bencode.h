/*
 * Bencode, in which a media relay is spoken to: strings, integers, lists, and
 * dictionaries of strings.
 */
#ifndef BENCODE_H
#define BENCODE_H

#include <re.h>

#include "common/buf.h"

void bencode_mem(struct buf *b, const char *p, size_t len);
void bencode_str(struct buf *b, const char *s);
void bencode_member(struct buf *b, const char *key, const char *value);
void bencode_words(struct buf *b, const char *key, const char *words);
int bencode_find(struct pl *value, const struct pl *dict, const char *key);

#endif
