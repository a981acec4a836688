#include "models.h"

#include <string.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"

#define MAX_MODELS 1000
#define MAX_NAME 127
#define MAX_ANSWER ((size_t)1 << 20)
/* After a failure, at least so long until the next question. */
#define PAUSE_MS 1000

struct models {
	struct models_deps deps;
	struct transfer transfer;
	struct buf answer; /* as far as it has come */
	char **names;
	size_t count;
	bool known;
	bool declared;
	uint64_t generation;
	int64_t fetched_ms; /* the last good answer */
	int64_t failed_ms;  /* the last failure; INT64_MIN: none since */
};

static int64_t now_ms(const struct models *models) {
	return clock_monotonic_us(models->deps.clock) / 1000;
}

static void names_free(char **names, size_t count) {
	for (size_t i = 0; i < count; i++) {
		mem_free(names[i]);
	}
	mem_free(names);
}

/* Names travel into logs, headers of tables and JSON: no control characters. */
static bool is_name(struct str name) {
	if (name.length == 0 || name.length > MAX_NAME || !str_is_utf8(name)) {
		return false;
	}
	for (size_t i = 0; i < name.length; i++) {
		if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7F) {
			return false;
		}
	}
	return true;
}

static void take_names(struct models *models, char **names, size_t count) {
	names_free(models->names, models->count);
	models->names = names;
	models->count = count;
	models->known = true;
	models->generation++;
}

static int read_names(struct models *models, const struct json *root, struct err *err) {
	const struct json *data = json_get(root, "data");
	if (!data || json_type(data) != JSON_ARRAY) {
		return err_set(err, ERR_INVALID, "the model list has no data");
	}
	size_t room = json_count(data) < MAX_MODELS ? json_count(data) : MAX_MODELS;
	char **names = mem_zarray(room + 1, sizeof *names);
	if (!names) {
		return err_set(err, ERR_MEMORY, "no memory for the model list");
	}
	size_t count = 0;
	for (const struct json *model = json_first(data); model && count < room; model = json_next(model)) {
		struct str name = json_str(json_get(model, "id"));
		if (!is_name(name)) {
			continue;
		}
		names[count] = mem_memdup_str(name.data, name.length);
		if (!names[count]) {
			names_free(names, count);
			return err_set(err, ERR_MEMORY, "no memory for the model list");
		}
		count++;
	}
	take_names(models, names, count);
	return 0;
}

static int read_answer(struct models *models, enum transfer_result result, struct err *err) {
	if (result != TRANSFER_OK) {
		return err_set(err, ERR_IO, "%s", models->transfer.reason);
	}
	if (models->transfer.head.status != 200) {
		return err_set(err, ERR_IO, "the upstream answered %d", models->transfer.head.status);
	}
	struct json *root = json_parse(buf_str(&models->answer), err);
	if (!root) {
		return -1;
	}
	int failed = read_names(models, root, err);
	json_free(&root);
	return failed;
}

static void end(struct models *models) {
	transfer_stop(&models->transfer);
	buf_free(&models->answer);
}

static void fail(struct models *models, const struct err *err) {
	log_warn(models->deps.log, "model list not fetched", LOG_ERR(err));
	models->failed_ms = now_ms(models);
}

static void on_readable(struct transfer *transfer, struct str bytes) {
	struct models *models = container_of(transfer, struct models, transfer);
	struct err err = {0};
	if (bytes.length > MAX_ANSWER - models->answer.length) {
		err_set(&err, ERR_LIMIT, "the model list is larger than %zu bytes", MAX_ANSWER);
	} else {
		buf_append_str(&models->answer, bytes);
		if (!models->answer.failed) {
			return;
		}
		err_set(&err, ERR_MEMORY, "no memory for the model list");
	}
	end(models);
	fail(models, &err);
}

static void on_done(struct transfer *transfer, enum transfer_result result) {
	struct models *models = container_of(transfer, struct models, transfer);
	struct err err = {0};
	if (read_answer(models, result, &err)) {
		fail(models, &err);
	} else {
		models->fetched_ms = now_ms(models);
		models->failed_ms = INT64_MIN;
		models->deps.answered(models->deps.owner);
	}
	end(models);
}

static const struct transfer_events events = {.readable = on_readable, .done = on_done};

static int declare(struct models *models, const char *declared, struct err *err) {
	size_t room = 1;
	for (const char *c = declared; *c; c++) {
		room += *c == ' ';
	}
	char **names = mem_zarray(room, sizeof *names);
	size_t count = 0;
	struct str rest = str_of(declared);
	while (names && rest.length) {
		struct str name = str_cut(&rest, ' ');
		names[count] = mem_memdup_str(name.data, name.length);
		if (!names[count]) {
			names_free(names, count);
			names = NULL;
		}
		count++;
	}
	if (!names) {
		return err_set(err, ERR_MEMORY, "no memory for the model list");
	}
	models->declared = true;
	take_names(models, names, count);
	return 0;
}

struct models *models_new(const struct models_deps *deps, const char *declared, struct err *err) {
	struct models *models = mem_zalloc(sizeof *models);
	if (!models) {
		err_set(err, ERR_MEMORY, "no memory for the model list");
		return NULL;
	}
	models->deps = *deps;
	models->failed_ms = INT64_MIN;
	models->transfer.events = &events;
	if (declared && declared[0] && declare(models, declared, err)) {
		models_free(&models);
	}
	return models;
}

void models_free(struct models **models) {
	struct models *old = *models;
	if (!old) {
		return;
	}
	*models = NULL;
	end(old);
	names_free(old->names, old->count);
	mem_free(old);
}

void models_refresh(struct models *models, int64_t max_age_ms) {
	if (models->declared) {
		return;
	}
	int64_t now = now_ms(models);
	bool fresh = models->known && now - models->fetched_ms <= max_age_ms;
	bool pausing = models->failed_ms != INT64_MIN && now - models->failed_ms < PAUSE_MS;
	if (transfer_runs(&models->transfer) || fresh || pausing) {
		return;
	}
	struct err err = {0};
	if (endpoint_get_models(models->deps.endpoint, &models->transfer, &err)) {
		fail(models, &err);
	}
}

size_t models_names(const struct models *models, char *const **names) {
	*names = models->names;
	return models->count;
}

/* "llama3" is how people write the "llama3:latest" of Ollama's list, and Ollama takes it. */
static bool means(const char *listed, const char *asked) {
	size_t length = strlen(asked);
	return strncmp(listed, asked, length) == 0 && (!listed[length] || strcmp(listed + length, ":latest") == 0);
}

bool models_have(const struct models *models, const char *name) {
	for (size_t i = 0; i < models->count; i++) {
		if (means(models->names[i], name)) {
			return true;
		}
	}
	return false;
}

bool models_known(const struct models *models) {
	return models->known;
}

bool models_declared(const struct models *models) {
	return models->declared;
}

uint64_t models_generation(const struct models *models) {
	return models->generation;
}
