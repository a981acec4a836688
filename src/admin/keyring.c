#include "admin/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CREDENTIAL_NAME "kek"
#define PATH_SIZE 4096

/* Whether systemd handed a key over. What is shorter than any key is a unit's placeholder for one that it did not find. */
static bool find_credential(char path[static PATH_SIZE]) {
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	if (!dir || dir[0] != '/') {
		return false;
	}
	int length = snprintf(path, PATH_SIZE, "%s/%s", dir, CREDENTIAL_NAME);
	struct stat status;
	return length < PATH_SIZE && stat(path, &status) == 0 && status.st_size >= SEAL_KEY_SIZE;
}

/* The folder of the key file, one level: /etc/sluice is missing where nothing was installed. */
static void make_folder_of(const char *key_file) {
	char folder[PATH_SIZE];
	const char *slash = strrchr(key_file, '/');
	if (slash && slash > key_file && (size_t)(slash - key_file) < sizeof folder) {
		memcpy(folder, key_file, (size_t)(slash - key_file));
		folder[slash - key_file] = '\0';
		mkdir(folder, 0755);
	}
}

static int make_key_file(const char *key_file, const struct log *log, struct err *err) {
	make_folder_of(key_file);
	if (seal_key_file_make(key_file, err)) {
		return err_wrap(
			err, "the key-encryption key is missing and could not be made; as root, `sluicectl key create` "
			     "makes it");
	}
	log_warn(log, "key-encryption key made: keep a copy apart from the data, without it nothing can be read again",
		 LOG_S("key_file", key_file));
	return 0;
}

/* A KEK that does not open what is stored would start a server that can read nothing and locks everybody out. */
static int try_key(const struct seal_keyring *keyring, const struct store *store, struct err *err) {
	const struct store_dek *row = store_sample_dek(store);
	if (!row) {
		return 0;
	}
	struct seal_dek_binding binding = {.epoch = row->epoch};
	memcpy(binding.owner, row->owner, sizeof binding.owner);
	memcpy(binding.thread, row->thread, sizeof binding.thread);
	struct seal_dek *key = seal_dek_unwrap(keyring, row->wrapped, sizeof row->wrapped, &binding, err);
	if (!key) {
		return err_wrap(err,
				"the key-encryption key does not open what the store holds; put the right one back");
	}
	seal_dek_free(&key);
	return 0;
}

/* Opens the key, and tries it. */
static struct seal_keyring *open_key(const char *path, bool credential, const struct store *store, struct err *err) {
	struct seal_keyring *keyring = seal_keyring_open(path, credential, err);
	if (keyring && try_key(keyring, store, err)) {
		seal_keyring_free(&keyring);
	}
	return keyring;
}

struct seal_keyring *keyring_obtain(const char *key_file, const struct store *store, const struct log *log,
				    struct err *err) {
	char credential[PATH_SIZE];
	if (find_credential(credential)) {
		return open_key(credential, true, store, err);
	}
	if (!seal_key_file_exists(key_file)) {
		if (!store_is_empty(store)) {
			err_set(err, ERR_NOT_FOUND,
				"%s: the key-encryption key is missing, and only it opens what the store holds: put it back from its "
				"copy, a new one can't replace it",
				key_file);
			return NULL;
		}
		if (make_key_file(key_file, log, err)) {
			return NULL;
		}
	}
	return open_key(key_file, false, store, err);
}
