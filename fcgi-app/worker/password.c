#include "worker/password.h"

#include <stdint.h>

#include "common/secret.h"

int password_make(char out[static PASSWORD_SIZE])
{
	/* 28 of them, none like another: 0 o, 1 l i, u v */
	static const char alphabet[] = "abcdefghjkmnpqrstvwxyz234567";
	enum {
		LETTERS = sizeof(alphabet) - 1,
		FAIR = 256 / LETTERS * LETTERS,
	};
	uint8_t raw[PASSWORD_SIZE * 4];
	int n = 0;

	while (n < PASSWORD_SIZE - 1) {
		const int err = random_bytes(raw, sizeof(raw));

		if (err)
			return err;
		for (size_t i = 0; i < sizeof(raw); i++) {
			if (raw[i] < FAIR && n < PASSWORD_SIZE - 1)
				out[n++] = alphabet[raw[i] % LETTERS];
		}
	}
	out[n] = '\0';
	secret_wipe(raw, sizeof(raw));

	return 0;
}
