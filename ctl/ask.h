/*
 * What a person is asked: a password, or whether they are sure. A password
 * comes from the terminal, without being shown, or from standard input; never
 * from the command line, which every user of the host can see.
 */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include "common/password.h"
#include "ctl/ctl.h"

enum ctl_exit ask_password(char password[static PASSWORD_BUF]);
enum ctl_exit ask_sure(const char *what, const char *answer);

#endif
