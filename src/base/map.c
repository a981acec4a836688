#include "base/map.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "siphash.h"

#define FIRST_CAPACITY 16

struct entry {
	uint64_t hash;
	void *value;
	size_t length;
	char key[];
};

/* Open addressing, linear probing. A removed entry leaves a tombstone, so that a walk may remove what it stands on:
 * moving the others up instead would carry them past the walk. */
struct map {
	struct entry **slots; /* NULL: never used; TOMBSTONE: used before */
	size_t capacity;      /* a power of two, or 0 */
	size_t count;
	size_t used; /* entries and tombstones; at most three quarters of the capacity */
};

static const struct entry tombstone;
#define TOMBSTONE ((struct entry *)(uintptr_t)&tombstone)

static uint8_t hash_key[SIPHASH_KEY_SIZE];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void) {
	random_bytes(hash_key, sizeof hash_key);
}

uint64_t map_hash(struct str key) {
	pthread_once(&hash_key_once, make_hash_key);
	return siphash(hash_key, key.data, key.length);
}

struct map *map_new(void) {
	return mem_zalloc(sizeof(struct map));
}

static bool is_entry(const struct entry *slot) {
	return slot && slot != TOMBSTONE;
}

void map_free(struct map **map) {
	if (!*map) {
		return;
	}
	for (size_t i = 0; i < (*map)->capacity; i++) {
		if (is_entry((*map)->slots[i])) {
			mem_free((*map)->slots[i]);
		}
	}
	mem_free((*map)->slots);
	mem_free(*map);
	*map = NULL;
}

/* The slot that holds the key, or NULL. */
static struct entry **find(const struct map *map, struct str key, uint64_t hash) {
	if (map->capacity == 0) {
		return NULL;
	}
	size_t mask = map->capacity - 1;
	for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
		struct entry *entry = map->slots[i];
		if (!entry) {
			return NULL;
		}
		if (entry != TOMBSTONE && entry->hash == hash &&
		    str_equal((struct str){entry->key, entry->length}, key)) {
			return &map->slots[i];
		}
	}
}

static void place(struct entry **slots, size_t capacity, struct entry *entry) {
	size_t mask = capacity - 1;
	size_t i = (size_t)entry->hash & mask;
	while (slots[i]) {
		i = (i + 1) & mask;
	}
	slots[i] = entry;
}

/* Makes room for one more; doubles only when the entries, not the tombstones, fill half of it. */
static int make_room(struct map *map) {
	if (map->used + 1 <= map->capacity / 4 * 3) {
		return 0;
	}
	size_t capacity = map->capacity > 0 ? map->capacity : FIRST_CAPACITY;
	if (map->count + 1 > capacity / 2) {
		capacity *= 2;
	}
	struct entry **slots = mem_zarray(capacity, sizeof(struct entry *));
	if (!slots) {
		return -1;
	}
	for (size_t i = 0; i < map->capacity; i++) {
		if (is_entry(map->slots[i])) {
			place(slots, capacity, map->slots[i]);
		}
	}
	mem_free(map->slots);
	map->slots = slots;
	map->capacity = capacity;
	map->used = map->count;
	return 0;
}

void *map_get(const struct map *map, struct str key) {
	struct entry **slot = find(map, key, map_hash(key));
	return slot ? (*slot)->value : NULL;
}

int map_put(struct map *map, struct str key, void *value) {
	uint64_t hash = map_hash(key);
	struct entry **slot = find(map, key, hash);
	if (slot) {
		(*slot)->value = value;
		return 0;
	}
	if (key.length > SIZE_MAX / 2 || make_room(map) != 0) {
		return -1;
	}
	struct entry *entry = mem_alloc(sizeof *entry + key.length);
	if (!entry) {
		return -1;
	}
	entry->hash = hash;
	entry->value = value;
	entry->length = key.length;
	if (key.length > 0) {
		memcpy(entry->key, key.data, key.length);
	}
	place(map->slots, map->capacity, entry);
	map->count++;
	map->used++;
	return 0;
}

void *map_remove(struct map *map, struct str key) {
	struct entry **slot = find(map, key, map_hash(key));
	if (!slot) {
		return NULL;
	}
	void *value = (*slot)->value;
	mem_free(*slot);
	*slot = TOMBSTONE;
	map->count--;
	return value;
}

size_t map_count(const struct map *map) {
	return map->count;
}

bool map_next(const struct map *map, size_t *position, struct str *key, void **value) {
	while (*position < map->capacity) {
		struct entry *entry = map->slots[(*position)++];
		if (!is_entry(entry)) {
			continue;
		}
		if (key) {
			*key = (struct str){entry->key, entry->length};
		}
		if (value) {
			*value = entry->value;
		}
		return true;
	}
	return false;
}
