#include "ctl/ask.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/secret.h"
#include "common/utf8.h"

enum {
	LINE_MAX_BYTES = 1024,
};

/* A line of standard input without its end; false: there is none, or it is too
 * long. Unbuffered: what is behind it is not ours. */
static bool read_line(char *line, size_t size)
{
	size_t n = 0;
	char c;
	ssize_t got;

	while ((got = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
		if (n + 1 == size)
			return false;
		line[n++] = c;
	}
	line[n] = '\0';

	return got >= 0 && (got == 1 || n > 0) && strlen(line) == n;
}

/* One line of the terminal that is not shown while it is typed. */
static bool read_hidden(const char *prompt, char *line, size_t size)
{
	struct termios shown, hidden;
	bool ok;

	if (tcgetattr(STDIN_FILENO, &shown))
		return false;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden))
		return false;
	(void)fputs(prompt, stderr); /* what was typed before is forgotten */
	ok = read_line(line, size);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	(void)fputc('\n', stderr);

	return ok;
}

static bool is_fit(const char *password)
{
	const size_t n = strlen(password);

	if (utf8_valid(password, n) != n)
		ctl_say("the password is not UTF-8");
	else if (password_characters(password, n) < PASSWORD_MIN)
		ctl_say("a password has at least %d characters; this has %zu",
			PASSWORD_MIN, password_characters(password, n));
	else
		return true;

	return false;
}

static enum ctl_exit from_terminal(char password[static PASSWORD_BUF])
{
	char again[PASSWORD_BUF];
	enum ctl_exit end = CTL_REFUSED;

	if (!read_hidden("New password: ", password, PASSWORD_BUF))
		ctl_say("no password was given");
	else if (!is_fit(password))
		end = CTL_REFUSED;
	else if (!read_hidden("Again: ", again, sizeof(again)) ||
		 strcmp(password, again) != 0)
		ctl_say("these were two different ones");
	else
		end = CTL_DONE;
	secret_wipe(again, sizeof(again));

	return end;
}

/**
 * Ask for a new password: twice at a terminal, else the first line of standard
 * input.
 *
 * @return  CTL_DONE; CTL_REFUSED, which has been said
 */
enum ctl_exit ask_password(char password[static PASSWORD_BUF])
{
	if (isatty(STDIN_FILENO))
		return from_terminal(password);
	if (!read_line(password, PASSWORD_BUF)) {
		ctl_say("no password came from standard input, or one of more "
			"than %d bytes",
			PASSWORD_MAX);
		return CTL_REFUSED;
	}

	return is_fit(password) ? CTL_DONE : CTL_REFUSED;
}

/**
 * Ask whether what cannot be undone is to be done.
 *
 * @param what    a sentence
 * @param answer  what is to be typed
 * @return  CTL_DONE: yes; CTL_REFUSED; CTL_USAGE: nobody can be asked
 */
enum ctl_exit ask_sure(const char *what, const char *answer)
{
	char line[LINE_MAX_BYTES];

	if (!isatty(STDIN_FILENO)) {
		ctl_say("%s Say --yes where nobody can be asked.", what);
		return CTL_USAGE;
	}
	(void)fprintf(stderr, "%s Type %s to go on: ", what, answer);
	if (read_line(line, sizeof(line)) && !strcmp(line, answer))
		return CTL_DONE;
	ctl_say("nothing was done");

	return CTL_REFUSED;
}
