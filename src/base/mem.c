#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The one place where sluice keeps state of the process that changes: a test must be able to reach every
 * allocation, wherever it is made, without a handle passed through all of them. */
static struct {
	_Atomic uint64_t asked;
	_Atomic uint64_t fail_at; /* the number of the allocation that fails; 0: none */
	_Atomic bool persistent;
} hook;

static bool refused(void) {
	uint64_t number = atomic_fetch_add_explicit(&hook.asked, 1, memory_order_relaxed) + 1;
	uint64_t fail_at = atomic_load_explicit(&hook.fail_at, memory_order_acquire);
	if (fail_at == 0) {
		return false;
	}
	return number == fail_at || (number > fail_at && atomic_load_explicit(&hook.persistent, memory_order_relaxed));
}

void mem_fail_after(uint64_t nth, bool persistent) {
	atomic_store_explicit(&hook.persistent, persistent, memory_order_relaxed);
	uint64_t asked = atomic_load_explicit(&hook.asked, memory_order_relaxed);
	atomic_store_explicit(&hook.fail_at, nth > 0 ? asked + nth : 0, memory_order_release);
}

uint64_t mem_alloc_count(void) {
	return atomic_load_explicit(&hook.asked, memory_order_relaxed);
}

/* malloc(0) may return NULL, which callers would take for a failure. */
static size_t at_least_one(size_t size) {
	return size > 0 ? size : 1;
}

void *mem_alloc(size_t size) {
	return refused() ? NULL : malloc(at_least_one(size));
}

void *mem_zalloc(size_t size) {
	return refused() ? NULL : calloc(1, at_least_one(size));
}

void *mem_zarray(size_t count, size_t size) {
	size_t total;
	if (__builtin_mul_overflow(count, size, &total)) {
		return NULL;
	}
	return mem_zalloc(total);
}

void *mem_realloc(void *old, size_t size) {
	return refused() ? NULL : realloc(old, at_least_one(size));
}

char *mem_strdup(const char *text) {
	return text ? mem_memdup_str(text, strlen(text)) : NULL;
}

char *mem_memdup_str(const char *bytes, size_t length) {
	if (length == SIZE_MAX) {
		return NULL;
	}
	char *copy = mem_alloc(length + 1);
	if (!copy) {
		return NULL;
	}
	if (length > 0) {
		memcpy(copy, bytes, length);
	}
	copy[length] = '\0';
	return copy;
}

void mem_free(void *pointer) {
	free(pointer);
}
