/*
 * A settings file of any content.
 */
#include "fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[64], why[CONFIG_WHY_SIZE];
	struct config c;
	int fd = memfd_create("ini", 0);

	HOLDS(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (config_load(&c, name, why))
		HOLDS(why[0] && strlen(why) < sizeof(why));
	else
		(void)config_hosts(&c, "example.net");
	config_free(&c);
	close(fd);

	return 0;
}
