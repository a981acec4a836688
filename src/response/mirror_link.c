#include "mirror_link.h"

#include "base/mem.h"

void mirror_link_hold(struct mirror_link *link) {
	atomic_fetch_add_explicit(&link->references, 1, memory_order_relaxed);
}

void mirror_link_release(struct mirror_link *link) {
	if (atomic_fetch_sub_explicit(&link->references, 1, memory_order_acq_rel) == 1) {
		increment_free(&link->increment);
		mem_free(link);
	}
}

static void post(struct mirror_link *link, unsigned loop, struct letter *letter) {
	mirror_link_hold(link);
	directory_post(link->directory, loop, letter);
}

static void drop(struct letter *letter) {
	mirror_link_release(container_of(letter, struct mirror_link, letter));
}

void mirror_link_carry(struct mirror_link *link) {
	link->letter.deliver = link->take;
	link->letter.drop = drop;
	post(link, link->away, &link->letter);
}

/* On either thread. */
static void drop_question(struct letter *letter) {
	struct mirror_link *link = container_of(letter, struct mirror_link, letter);
	link->increment.kind = INCREMENT_GONE;
	mirror_link_carry(link);
	mirror_link_release(link);
}

void mirror_link_ask(struct mirror_link *link, void (*deliver)(struct letter *letter)) {
	link->letter.deliver = deliver;
	link->letter.drop = drop_question;
	post(link, link->home.loop, &link->letter);
}

static void drop_leaving(struct letter *letter) {
	mirror_link_release(container_of(letter, struct mirror_link, leaving));
}

void mirror_link_leave(struct mirror_link *link, void (*deliver)(struct letter *letter)) {
	link->leaving.deliver = deliver;
	link->leaving.drop = drop_leaving;
	post(link, link->home.loop, &link->leaving);
}
