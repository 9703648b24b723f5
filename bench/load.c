/*
 * load.c: what sipload and callload share.
 */
#include "load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { RCVBUF = 16 << 20 };

int64_t load_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void load_md5_hex(EVP_MD_CTX *md, char hex[static 33], const char *text)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[EVP_MAX_MD_SIZE];

	EVP_DigestInit_ex(md, EVP_md5(), NULL);
	EVP_DigestUpdate(md, text, strlen(text));
	EVP_DigestFinal_ex(md, hash, NULL);
	for (int i = 0; i < 16; i++) {
		hex[2 * i] = digits[hash[i] >> 4];
		hex[2 * i + 1] = digits[hash[i] & 15];
	}
	hex[32] = '\0';
}

bool load_read_param(char *out, size_t size, const char *p, const char *name)
{
	const char *q = strstr(p, name), *end;

	if (!q)
		return false;
	q += strlen(name);
	end = strchr(q, '"');
	if (!end || (size_t)(end - q) >= size)
		return false;
	memcpy(out, q, (size_t)(end - q));
	out[end - q] = '\0';

	return true;
}

bool load_read_server(struct sockaddr_in *to, char *text)
{
	char *colon = strchr(text, ':');

	if (!colon)
		return false;
	*colon = '\0';
	to->sin_family = AF_INET;
	to->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));

	return inet_pton(AF_INET, text, &to->sin_addr) == 1;
}

int load_open_socket(struct sockaddr_in *local,
		     const struct sockaddr_in *server)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int size = RCVBUF;
	socklen_t len = sizeof(*local);

	local->sin_family = AF_INET;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (fd < 0 || bind(fd, (const void *)local, len) ||
	    connect(fd, (const void *)server, sizeof(*server)) ||
	    getsockname(fd, (void *)local, &len)) {
		perror("a socket to load the server by");
		exit(1);
	}

	return fd;
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct load_times load_times(uint32_t *usv, size_t n)
{
	if (!n)
		return (struct load_times){0};
	qsort(usv, n, sizeof(*usv), compare);

	return (struct load_times){.p50 = usv[n / 2] / 1e3,
				   .p99 = usv[n - 1 - n / 100] / 1e3,
				   .max = usv[n - 1] / 1e3};
}
