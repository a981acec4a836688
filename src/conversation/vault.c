#include "vault.h"

#include <string.h>

#include "base/str.h"

static struct seal_dek_binding dek_binding(const struct vault *vault, uint32_t epoch) {
	struct seal_dek_binding binding = {.epoch = epoch};
	memcpy(binding.owner, vault->owner, sizeof binding.owner);
	memcpy(binding.thread, vault->thread, sizeof binding.thread);
	return binding;
}

static void vault_init(struct vault *vault, const char *owner, const char *thread) {
	*vault = (struct vault){0};
	str_copy_cut(vault->owner, sizeof vault->owner, str_of(owner));
	str_copy_cut(vault->thread, sizeof vault->thread, str_of(thread));
}

int vault_make(struct vault *vault, const struct seal_keyring *keyring, const char *owner, const char *thread,
	       struct store_dek *row, struct err *err) {
	vault_init(vault, owner, thread);
	struct seal_dek *key = seal_dek_new(keyring);
	if (!key) {
		return err_set(err, ERR_MEMORY, "no guarded memory for a data key");
	}
	struct seal_dek_binding binding = dek_binding(vault, 1);
	*row = (struct store_dek){.epoch = 1};
	memcpy(row->owner, vault->owner, sizeof row->owner);
	memcpy(row->thread, vault->thread, sizeof row->thread);
	if (seal_dek_wrap(keyring, key, &binding, row->wrapped, err)) {
		seal_dek_free(&key);
		return -1;
	}
	vault->keys[0] = key;
	vault->epochs = 1;
	return 0;
}

int vault_open(struct vault *vault, const struct seal_keyring *keyring, const char *owner, const char *thread,
	       const struct store_snapshot *snapshot, struct err *err) {
	vault_init(vault, owner, thread);
	for (size_t i = 0; i < snapshot->dek_count; i++) {
		const struct store_dek *row = &snapshot->deks[i];
		if (strcmp(row->thread, thread) != 0) {
			continue;
		}
		if (row->epoch == 0 || row->epoch > VAULT_MAX_EPOCHS || vault->keys[row->epoch - 1]) {
			err_set(err, ERR_CORRUPT, "data key of %s has epoch %u", thread, row->epoch);
			goto close;
		}
		struct seal_dek_binding binding = dek_binding(vault, row->epoch);
		vault->keys[row->epoch - 1] =
			seal_dek_unwrap(keyring, row->wrapped, sizeof row->wrapped, &binding, err);
		if (!vault->keys[row->epoch - 1]) {
			err_wrap(err, "data key of %s, epoch %u", thread, row->epoch);
			goto close;
		}
		if (row->epoch > vault->epochs) {
			vault->epochs = row->epoch;
		}
	}
	for (uint32_t i = 0; i < vault->epochs; i++) {
		if (!vault->keys[i]) {
			err_set(err, ERR_CORRUPT, "%s lacks its data key of epoch %u", thread, i + 1);
			goto close;
		}
	}
	if (vault->epochs == 0) {
		/* Erasing destroys the keys first: whoever reads meanwhile finds what there is, nothing. */
		err_set(err, ERR_NOT_FOUND, "%s has no data key any more", thread);
		goto close;
	}
	return 0;

close:
	vault_close(vault);
	return -1;
}

void vault_close(struct vault *vault) {
	for (uint32_t i = 0; i < VAULT_MAX_EPOCHS; i++) {
		seal_dek_free(&vault->keys[i]);
	}
	vault->epochs = 0;
}

static struct seal_record_binding record_binding(const struct vault *vault, const struct store_record *record) {
	struct seal_record_binding binding = {
		.number = record->number,
		.kind = record->kind,
		.schema = VAULT_SCHEMA,
		.created_ms = record->created_ms,
	};
	memcpy(binding.owner, vault->owner, sizeof binding.owner);
	memcpy(binding.thread, vault->thread, sizeof binding.thread);
	memcpy(binding.response, record->response, sizeof binding.response);
	return binding;
}

int vault_seal(const struct vault *vault, const char *response, enum record_kind kind, uint32_t number, int64_t now_ms,
	       struct str text, struct store_record *record, struct err *err) {
	*record = (struct store_record){.number = number, .kind = kind, .created_ms = now_ms};
	memcpy(record->thread, vault->thread, sizeof record->thread);
	str_copy_cut(record->response, sizeof record->response, str_of(response));
	struct seal_record_binding binding = record_binding(vault, record);
	if (seal_record(vault->keys[vault->epochs - 1], vault->epochs, &binding, text, &record->sealed, err)) {
		buf_free(&record->sealed);
		return -1;
	}
	return 0;
}

int vault_unseal(const struct vault *vault, const struct store_record *record, struct buf *out, struct err *err) {
	uint32_t epoch = 0;
	if (seal_record_epoch(buf_str(&record->sealed), &epoch, err)) {
		goto describe;
	}
	if (epoch == 0 || epoch > vault->epochs) {
		err_set(err, ERR_CORRUPT, "epoch %u is unknown", epoch);
		goto describe;
	}
	struct seal_record_binding binding = record_binding(vault, record);
	if (seal_record_open(vault->keys[epoch - 1], &binding, buf_str(&record->sealed), out, err) == 0) {
		return 0;
	}

describe:
	return err_wrap(err, "record %u of %s", record->number, vault->thread);
}
