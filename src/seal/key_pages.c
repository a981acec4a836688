#include "key_pages.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>

#include "base/list.h"
#include "base/mem.h"

/* What libsodium gives of one page of 4 KiB: 16 bytes before it are its canary. */
#define PAGE_ROOM 4080
#define SLOTS (PAGE_ROOM / sizeof(struct seal_dek))
#define WORD_BITS 64
#define WORDS ((SLOTS + WORD_BITS - 1) / WORD_BITS)

/* What is known of a page lies outside, so that the page holds nothing but keys. */
struct key_page {
	struct list link; /* among those with room; on no list while full */
	struct key_pages *pages;
	struct seal_dek *slots; /* SLOTS of them, in guarded memory */
	uint32_t used;
	uint64_t taken[WORDS];
};

struct key_pages {
	pthread_mutex_t mutex;
	struct list roomy; /* under the mutex, as is everything of a page */
};

struct key_pages *key_pages_new(void) {
	struct key_pages *pages = mem_zalloc(sizeof *pages);
	if (pages && pthread_mutex_init(&pages->mutex, NULL)) {
		mem_free(pages);
		return NULL;
	}
	if (pages) {
		list_init(&pages->roomy);
	}
	return pages;
}

static void free_page(struct key_page *page) {
	list_remove(&page->link);
	sodium_free(page->slots);
	mem_free(page);
}

void key_pages_free(struct key_pages **pages) {
	if (!*pages) {
		return;
	}
	list_each(link, after, &(*pages)->roomy) {
		struct key_page *page = container_of(link, struct key_page, link);
		assert(page->used == 0);
		free_page(page);
	}
	pthread_mutex_destroy(&(*pages)->mutex);
	mem_free(*pages);
	*pages = NULL;
}

static struct key_page *add_page(struct key_pages *pages) {
	struct key_page *page = mem_zalloc(sizeof *page);
	if (!page) {
		return NULL;
	}
	page->slots = sodium_allocarray(SLOTS, sizeof *page->slots);
	if (!page->slots) {
		mem_free(page);
		return NULL;
	}
	page->pages = pages;
	list_append(&pages->roomy, &page->link);
	return page;
}

/* One is free. */
static size_t free_slot(const struct key_page *page) {
	size_t word = 0;
	while (page->taken[word] == UINT64_MAX) {
		word++;
	}
	return word * WORD_BITS + (size_t)__builtin_ctzll(~page->taken[word]);
}

static struct seal_dek *take_slot(struct key_page *page) {
	size_t slot = free_slot(page);
	page->taken[slot / WORD_BITS] |= UINT64_C(1) << slot % WORD_BITS;
	if (++page->used == SLOTS) {
		list_remove(&page->link);
	}
	page->slots[slot] = (struct seal_dek){.page = page};
	return &page->slots[slot];
}

struct seal_dek *key_pages_take(struct key_pages *pages) {
	pthread_mutex_lock(&pages->mutex);
	struct key_page *page =
		list_empty(&pages->roomy) ? add_page(pages) : container_of(pages->roomy.next, struct key_page, link);
	struct seal_dek *dek = page ? take_slot(page) : NULL;
	pthread_mutex_unlock(&pages->mutex);
	return dek;
}

static bool has_other_room(const struct key_pages *pages, const struct key_page *page) {
	return pages->roomy.next != &page->link || pages->roomy.prev != &page->link;
}

void key_pages_give_back(struct seal_dek *dek) {
	struct key_page *page = dek->page;
	struct key_pages *pages = page->pages;
	size_t slot = (size_t)(dek - page->slots);
	pthread_mutex_lock(&pages->mutex);
	assert(page->taken[slot / WORD_BITS] >> slot % WORD_BITS & 1);
	sodium_memzero(dek, sizeof *dek);
	page->taken[slot / WORD_BITS] &= ~(UINT64_C(1) << slot % WORD_BITS);
	if (page->used-- == SLOTS) {
		list_append(&pages->roomy, &page->link);
	}
	if (page->used == 0 && has_other_room(pages, page)) {
		free_page(page);
	}
	pthread_mutex_unlock(&pages->mutex);
}
