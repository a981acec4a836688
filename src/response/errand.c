#include "errand.h"

#include "base/mem.h"

static void drop(struct letter *letter) {
	mem_free(container_of(letter, struct errand, letter));
}

static void deliver(struct letter *letter) {
	const struct errand *errand = container_of(letter, struct errand, letter);
	errand->run(directory_registry(errand->directory, errand->to), errand);
	drop(letter);
}

int errand_send(const struct errand *errand) {
	struct errand *sent = mem_alloc(sizeof *sent);
	if (!sent) {
		return -1;
	}
	*sent = *errand;
	sent->letter = (struct letter){.deliver = deliver, .drop = drop};
	directory_post(sent->directory, sent->to, &sent->letter);
	return 0;
}
