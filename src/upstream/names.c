#include "names.h"

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

#define KEPT_MS 60000
#define FOR_EVER INT64_MAX

/* A question to the resolver. Its own thread and the loop's share it; whoever comes last frees it. */
struct lookup {
	pthread_mutex_t lock;
	char *host;
	struct names *names;     /* NULL: nobody wants the answer any more */
	struct addrinfo *answer; /* NULL: the host is unknown */
	bool answered;
};

struct names {
	uv_async_t answered;
	const struct clock *clock;
	char *host;
	uint16_t port;
	struct addresses addresses;
	int64_t until_ms;      /* they are good for */
	struct lookup *lookup; /* NULL: none is under way */
	struct list waits;
};

static void lookup_free(struct lookup *lookup) {
	if (lookup->answer) {
		freeaddrinfo(lookup->answer);
	}
	pthread_mutex_destroy(&lookup->lock);
	mem_free(lookup->host);
	mem_free(lookup);
}

static void *lookup_run(void *shared) {
	struct lookup *lookup = shared;
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *answer = NULL;
	if (getaddrinfo(lookup->host, NULL, &hints, &answer) != 0) {
		answer = NULL;
	}
	pthread_mutex_lock(&lookup->lock);
	lookup->answer = answer;
	lookup->answered = true;
	bool wanted = lookup->names != NULL;
	if (wanted) {
		uv_async_send(&lookup->names->answered);
	}
	pthread_mutex_unlock(&lookup->lock);
	if (!wanted) {
		lookup_free(lookup);
	}
	return NULL;
}

static int lookup_start(struct names *names, struct err *err) {
	struct lookup *lookup = mem_zalloc(sizeof *lookup);
	if (!lookup) {
		return err_set(err, ERR_MEMORY, "no memory to look up a name");
	}
	pthread_mutex_init(&lookup->lock, NULL);
	lookup->names = names;
	lookup->host = mem_strdup(names->host);
	pthread_attr_t detached;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_t thread;
	int failed = !lookup->host || pthread_create(&thread, &detached, lookup_run, lookup);
	pthread_attr_destroy(&detached);
	if (failed) {
		lookup_free(lookup);
		return err_set(err, ERR_MEMORY, "no thread to look up a name");
	}
	names->lookup = lookup;
	return 0;
}

static int64_t now_ms(const struct names *names) {
	return clock_monotonic_us(names->clock) / 1000;
}

/* Whoever waits may ask anew within its callback, so that the list is taken over first. */
static void tell(struct names *names, const struct addresses *addresses) {
	struct list waits;
	list_init(&waits);
	while (!list_empty(&names->waits)) {
		struct list *first = names->waits.next;
		list_remove(first);
		list_append(&waits, first);
	}
	while (!list_empty(&waits)) {
		struct names_wait *wait = container_of(waits.next, struct names_wait, link);
		list_remove(&wait->link);
		wait->known(wait, addresses);
	}
}

static void on_answered(uv_async_t *async) {
	struct names *names = container_of(async, struct names, answered);
	struct lookup *lookup = names->lookup;
	if (!lookup) {
		return;
	}
	pthread_mutex_lock(&lookup->lock);
	bool answered = lookup->answered;
	pthread_mutex_unlock(&lookup->lock);
	if (!answered) {
		return;
	}
	names->lookup = NULL;
	struct addresses addresses;
	addresses_of_answer(lookup->answer, names->port, &addresses);
	lookup_free(lookup);
	if (addresses.count > 0) {
		names->addresses = addresses;
		names->until_ms = now_ms(names) + KEPT_MS;
	}
	tell(names, addresses.count > 0 ? &addresses : NULL);
}

struct names *names_new(uv_loop_t *loop, const struct clock *clock, const char *host, uint16_t port, struct err *err) {
	struct names *names = mem_zalloc(sizeof *names);
	if (!names) {
		goto fail;
	}
	names->host = mem_strdup(host);
	if (!names->host || uv_async_init(loop, &names->answered, on_answered) != 0) {
		goto fail_names;
	}
	names->clock = clock;
	names->port = port;
	list_init(&names->waits);
	addresses_of_literal(host, port, &names->addresses);
	names->until_ms = names->addresses.count > 0 ? FOR_EVER : INT64_MIN;
	return names;
fail_names:
	mem_free(names->host);
	mem_free(names);
fail:
	err_set(err, ERR_MEMORY, "no memory for the upstream's address");
	return NULL;
}

static void on_closed(uv_handle_t *handle) {
	struct names *names = container_of((uv_async_t *)handle, struct names, answered);
	mem_free(names->host);
	mem_free(names);
}

void names_free(struct names **names) {
	struct names *old = *names;
	if (!old) {
		return;
	}
	*names = NULL;
	struct lookup *lookup = old->lookup;
	if (lookup) {
		pthread_mutex_lock(&lookup->lock);
		bool answered = lookup->answered;
		lookup->names = NULL;
		pthread_mutex_unlock(&lookup->lock);
		if (answered) {
			lookup_free(lookup);
		}
	}
	uv_close((uv_handle_t *)&old->answered, on_closed);
}

int names_ask(struct names *names, struct names_wait *wait, const struct addresses **addresses, struct err *err) {
	*addresses = NULL;
	if (names->until_ms == FOR_EVER || now_ms(names) < names->until_ms) {
		*addresses = &names->addresses;
		return 0;
	}
	if (!names->lookup && lookup_start(names, err)) {
		return -1;
	}
	list_append(&names->waits, &wait->link);
	return 0;
}

void names_forget(struct names_wait *wait) {
	list_remove(&wait->link);
}
