#include "places.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/map.h"
#include "base/mem.h"

/* How many connections an address has. IPv6 counts by /64, which one customer holds whole. */
struct address_share {
	uint32_t count;
	size_t key_length;
	char key[9]; /* '4' and 4 bytes, or '6' and 8 bytes */
};

struct places {
	uint32_t most, most_per_address;
	uv_mutex_t mutex;
	/* under the mutex */
	uint32_t count;
	struct map *addresses; /* struct address_share */
	unsigned next;         /* the seat that is looked at first */
	unsigned seat_count, seat_room;
	struct seat seats[];
};

struct places *places_new(uint32_t most, uint32_t most_per_address, unsigned loops, struct err *err) {
	struct places *places = mem_zalloc(sizeof *places + loops * sizeof places->seats[0]);
	if (!places) {
		goto no_memory;
	}
	places->most = most;
	places->most_per_address = most_per_address;
	places->seat_room = loops;
	places->addresses = map_new();
	if (!places->addresses || uv_mutex_init(&places->mutex)) {
		map_free(&places->addresses);
		mem_free(places);
		goto no_memory;
	}
	return places;
no_memory:
	err_set(err, ERR_MEMORY, "no memory for the places of connections");
	return NULL;
}

void places_free(struct places **places) {
	if (*places) {
		uv_mutex_destroy(&(*places)->mutex);
		map_free(&(*places)->addresses);
		mem_free(*places);
		*places = NULL;
	}
}

struct seat *places_open(struct places *places, struct edge *edge, struct mailbox *mailbox) {
	struct seat *seat = NULL;
	uv_mutex_lock(&places->mutex);
	if (places->seat_count < places->seat_room) {
		seat = &places->seats[places->seat_count++];
		*seat = (struct seat){.edge = edge, .mailbox = mailbox, .open = true};
	}
	uv_mutex_unlock(&places->mutex);
	return seat;
}

void places_close(struct places *places, struct seat *seat) {
	if (seat) {
		uv_mutex_lock(&places->mutex);
		seat->open = false;
		uv_mutex_unlock(&places->mutex);
	}
}

static bool address_key(int descriptor, struct address_share *share) {
	struct sockaddr_storage peer = {0};
	socklen_t length = sizeof peer;
	if (getpeername(descriptor, (struct sockaddr *)&peer, &length)) {
		return false;
	}
	if (peer.ss_family == AF_INET) {
		share->key[0] = '4';
		memcpy(share->key + 1, &((const struct sockaddr_in *)&peer)->sin_addr, 4);
		share->key_length = 5;
		return true;
	}
	if (peer.ss_family != AF_INET6) {
		return false;
	}
	const struct in6_addr *address = &((const struct sockaddr_in6 *)&peer)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		share->key[0] = '4';
		memcpy(share->key + 1, address->s6_addr + 12, 4);
		share->key_length = 5;
		return true;
	}
	share->key[0] = '6';
	memcpy(share->key + 1, address->s6_addr, 8);
	share->key_length = 9;
	return true;
}

/* The share of this address, made if there is none; NULL when memory is out. */
static struct address_share *share_of(struct places *places, const struct address_share *address) {
	struct str key = {address->key, address->key_length};
	struct address_share *share = map_get(places->addresses, key);
	if (share) {
		return share;
	}
	share = mem_alloc(sizeof *share);
	if (!share) {
		return NULL;
	}
	*share = *address;
	if (map_put(places->addresses, key, share)) {
		mem_free(share);
		return NULL;
	}
	return share;
}

static struct seat *choose(struct places *places) {
	struct seat *best = NULL;
	for (unsigned i = 0; i < places->seat_count; i++) {
		struct seat *seat = &places->seats[(places->next + i) % places->seat_count];
		if (seat->open && (!best || seat->count < best->count)) {
			best = seat;
		}
	}
	return best;
}

/* Under the mutex. `address` is NULL when it could not be told. */
static enum places_answer take(struct places *places, const struct address_share *address, struct place *place) {
	struct seat *seat = places->count < places->most ? choose(places) : NULL;
	if (!seat) {
		return PLACES_FULL;
	}
	struct address_share *share = address ? share_of(places, address) : NULL;
	if (share && places->most_per_address > 0 && share->count >= places->most_per_address) {
		return PLACES_CROWDED;
	}
	if (share) {
		share->count++;
	}
	places->count++;
	seat->count++;
	places->next = (unsigned)(seat - places->seats) + 1;
	*place = (struct place){seat, share};
	return PLACES_TAKEN;
}

enum places_answer places_take(struct places *places, int descriptor, struct place *place) {
	struct address_share address = {0};
	bool known = address_key(descriptor, &address);
	uv_mutex_lock(&places->mutex);
	enum places_answer answer = take(places, known ? &address : NULL, place);
	uv_mutex_unlock(&places->mutex);
	return answer;
}

void places_give_back(struct places *places, struct place *place) {
	if (!place->seat) {
		return;
	}
	uv_mutex_lock(&places->mutex);
	struct address_share *share = place->share;
	if (share && --share->count == 0) {
		map_remove(places->addresses, (struct str){share->key, share->key_length});
		mem_free(share);
	}
	place->seat->count--;
	places->count--;
	uv_mutex_unlock(&places->mutex);
	*place = (struct place){0};
}
