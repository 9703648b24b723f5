#include "ctl/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "ctl/ctl.h"

/* CTL_SYSCONFDIR is the Makefile's. */
static const char installed[] = CTL_SYSCONFDIR "/restsip/restsip.ini";

/* .run of the checkout that this program was built in, where that is up or has
 * been: build/restsipctl belongs to .run. */
static bool find_beside(char path[static PLACE_MAX])
{
	static const char run[] = ".run/restsip.ini";
	ssize_t n = readlink("/proc/self/exe", path, PLACE_MAX - 1);

	for (int up = 0; up < 2; up++) {
		while (n > 0 && path[--n] != '/')
			continue;
	}
	if (n < 0 || (size_t)n + 1 + sizeof(run) > PLACE_MAX)
		return false;
	memcpy(path + n + 1, run, sizeof(run));

	return !access(path, F_OK);
}

static int name(char path[static PLACE_MAX], const char *text)
{
	const size_t n = strlen(text);

	if (n >= PLACE_MAX)
		return ENAMETOOLONG;
	memcpy(path, text, n + 1);

	return 0;
}

/**
 * Find the settings of the system that is meant: those that are named, on the
 * command line or by RESTSIP_SETTINGS (which `. .run/env` sets); those of the
 * checkout that the program was built in; those that are installed.
 *
 * @param given  of the command line, or NULL
 * @param path   of the file; "" where the environment alone has to do
 * @return  0, or ENOENT: there is none; this has been said
 */
int place_find(char path[static PLACE_MAX], const char *given)
{
	const char *named = given ? given : getenv("RESTSIP_SETTINGS");

	if (named && *named)
		return name(path, named);
	if (find_beside(path))
		return 0;
	if (!access(installed, F_OK))
		return name(path, installed);
	if (getenv("RESTSIP_DATABASE_CONNINFO"))
		return name(path, "");
	ctl_say("no system found: there is no %s, and nothing was started here "
		"(make up). Name a settings file with -c FILE, or in "
		"RESTSIP_SETTINGS.",
		installed);

	return ENOENT;
}

/** Read them. @return  0 or errno; what is wrong has been said */
int place_load(struct config *c, const char *path)
{
	char why[CONFIG_WHY_SIZE];
	int err = *path && access(path, R_OK) ? errno : 0;

	if (err) {
		*c = (struct config){.log = {LOG_LEVEL_WARN}};
		ctl_say("%s: %s", path, strerror(err));
		return err;
	}
	err = config_load(c, *path ? path : NULL, why);
	if (err)
		ctl_say("%s: %s", *path ? path : "settings", why);

	return err;
}
