/*
 * The version of all programs; web/openapi.json and CHANGELOG.md have the same.
 */
#ifndef VERSION_H
#define VERSION_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define RESTSIP_VERSION "0.1.0"

/** Whether `--version` is all that is asked for: then it is printed */
static inline bool version_is_asked(int argc, char *const *argv,
				    const char *program)
{
	if (argc != 2 || strcmp(argv[1], "--version") != 0)
		return false;
	(void)printf("%s %s\n", program, RESTSIP_VERSION);
	return true;
}

#endif
