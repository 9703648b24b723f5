#include "common/password.h"

#include <crypt.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

/** @return  How many characters n bytes of UTF-8 are */
size_t password_characters(const char *p, size_t n)
{
	size_t characters = 0;

	for (size_t i = 0; i < n; i++)
		characters += ((unsigned char)p[i] & 0xc0) != 0x80;

	return characters;
}

/** @return  0 or EIO */
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

/* Why there is no hash. crypt(3) says EINVAL, too, where it had no memory; so
   it is the setting's fault only where that cannot be one. */
static int why_none(const char *setting)
{
	const int salt = crypt_checksalt(setting);

	return salt == CRYPT_SALT_INVALID || salt == CRYPT_SALT_METHOD_DISABLED
		       ? EINVAL
		       : ENOMEM;
}

/**
 * Hash a password. It takes tens of milliseconds: never in a loop that serves.
 *
 * @param setting  The one of the hash that it is to be compared with; NULL: a
 *                 fresh one, for a new password
 * @return  0, EINVAL (no setting, or a password that crypt(3) does not take),
 *          ENOMEM
 */
int password_hash(char hash[static PASSWORD_HASH_SIZE], const char *password,
		  const char *setting)
{
	char fresh[PASSWORD_HASH_SIZE] = "";
	struct crypt_data *data;
	const char *made = NULL;
	int err;

	if (!setting)
		setting = crypt_gensalt_rn("$y$", 0, NULL, 0, fresh,
					   sizeof(fresh));
	if (!setting)
		return EINVAL;
	data = calloc(1, sizeof(*data));
	if (!data)
		return ENOMEM;
	made = crypt_r(password, setting, data);
	if (made && made[0] != '*' && strlen(made) < PASSWORD_HASH_SIZE) {
		memcpy(hash, made, strlen(made) + 1);
		err = 0;
	} else {
		err = why_none(setting);
	}
	secret_wipe(data, sizeof(*data));
	free(data);

	return err;
}
