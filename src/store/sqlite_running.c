#include "sqlite_running.h"

#include "base/map.h"
#include "base/mem.h"

/* Some 200 pages: deleting that many at once takes a few milliseconds. */
#define CROWD 2048

struct entry {
	int64_t key;
	size_t rows;
};

struct sqlite_running {
	struct map *entries; /* by response id: struct entry */
	size_t live;         /* rows of those */
	size_t dead;         /* rows of others, about */
	bool unsure;         /* there may be more of either */
};

struct sqlite_running *sqlite_running_new(void) {
	struct sqlite_running *running = mem_zalloc(sizeof *running);
	if (running && !(running->entries = map_new())) {
		mem_free(running);
		running = NULL;
	}
	return running;
}

static void clear(struct sqlite_running *running) {
	size_t position = 0;
	struct str id;
	void *entry;
	while (map_next(running->entries, &position, &id, &entry)) {
		map_remove(running->entries, id);
		mem_free(entry);
	}
}

void sqlite_running_free(struct sqlite_running **running) {
	if (*running) {
		clear(*running);
		map_free(&(*running)->entries);
		mem_free(*running);
		*running = NULL;
	}
}

int64_t sqlite_running_key(const struct sqlite_running *running, const char *id) {
	const struct entry *entry = map_get(running->entries, str_of(id));
	return entry ? entry->key : 0;
}

void sqlite_running_add(struct sqlite_running *running, const char *id, int64_t key) {
	struct entry *entry = map_get(running->entries, str_of(id));
	if (!entry) {
		entry = mem_zalloc(sizeof *entry);
		if (!entry || map_put(running->entries, str_of(id), entry)) {
			mem_free(entry);
			running->unsure = true;
			return;
		}
		entry->key = key;
	}
	entry->rows++;
	running->live++;
}

void sqlite_running_end(struct sqlite_running *running, const char *id) {
	struct entry *entry = map_remove(running->entries, str_of(id));
	if (entry) {
		running->live -= entry->rows;
		running->dead += entry->rows;
		mem_free(entry);
	}
}

void sqlite_running_forget(struct sqlite_running *running) {
	clear(running);
	running->dead += running->live;
	running->live = 0;
	running->unsure = true;
}

bool sqlite_running_has_dead(const struct sqlite_running *running) {
	return running->dead > 0 || running->unsure;
}

bool sqlite_running_is_over(const struct sqlite_running *running) {
	return running->live == 0 && sqlite_running_has_dead(running);
}

bool sqlite_running_is_crowded(const struct sqlite_running *running) {
	return running->dead >= CROWD && running->dead >= running->live;
}

void sqlite_running_purged(struct sqlite_running *running, bool empty) {
	running->dead = 0;
	running->unsure = running->unsure && !empty;
}
