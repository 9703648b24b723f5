/*
 * The commands, a file each, and what they share.
 */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include <stddef.h>

#include "common/aor.h"
#include "common/password.h"
#include "ctl/ctl.h"

/** @return  how the program ends */
typedef enum ctl_exit(command_h)(struct ctl *c);

command_h user_add;
command_h user_show;
command_h user_passwd;
command_h user_disable;
command_h user_enable;
command_h user_delete;
command_h credential_add;
command_h credential_list;
command_h credential_delete;
command_h kick;
command_h unlock;
command_h who;
command_h setting;

enum ctl_exit command_email(char email[static AOR_BUF], const char *text);
enum ctl_exit command_email_key(char key[static AOR_BUF], const char *text);
enum ctl_exit command_number(const char *text);
enum ctl_exit command_call(struct ctl *c, const char *sql,
			   const char *const *params, int n, char *out,
			   size_t size);
enum ctl_exit command_new_password(const struct ctl *c,
				   char password[static PASSWORD_BUF],
				   char hash[static PASSWORD_HASH_SIZE]);
enum ctl_exit command_tell_password(const struct ctl *c, const char *email,
				    const char *password);

#endif
