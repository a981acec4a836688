#include "entrance.h"

#include <unistd.h>

#include "base/mem.h"
#include "descriptors.h"

#define FULL_LOG_US INT64_C(60000000)

/* An accepted connection on its way to another loop. */
struct arrival {
	struct letter letter;
	struct edge *edge; /* where it is going */
	struct places *places;
	struct place place;
	int descriptor;
};

static void adopt(struct edge *edge, int descriptor, struct place *place) {
	edge->arriving = place;
	/* On failure it closes the descriptor; else `connection_new` has taken the place. */
	lws_adopt_descriptor_vhost(edge->vhost, LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
				   (lws_sock_file_fd_type){.sockfd = descriptor}, NULL, NULL);
	edge->arriving = NULL;
	places_give_back(edge->places, place);
}

static void on_arrival(struct letter *letter) {
	struct arrival *arrival = container_of(letter, struct arrival, letter);
	adopt(arrival->edge, arrival->descriptor, &arrival->place);
	mem_free(arrival);
}

static void on_turned_away(struct letter *letter) {
	struct arrival *arrival = container_of(letter, struct arrival, letter);
	close(arrival->descriptor);
	places_give_back(arrival->places, &arrival->place);
	mem_free(arrival);
}

/* -1 when memory is out; descriptor and place are still the caller's then. */
static int send_over(const struct edge *from, int descriptor, const struct place *place) {
	struct arrival *arrival = mem_zalloc(sizeof *arrival);
	if (!arrival) {
		return -1;
	}
	*arrival = (struct arrival){
		.letter = {.deliver = on_arrival, .drop = on_turned_away},
		.edge = place->seat->edge,
		.places = from->places,
		.place = *place,
		.descriptor = descriptor,
	};
	mailbox_post(place->seat->mailbox, &arrival->letter);
	return 0;
}

/* Once a minute: a rush must not flood the log as well. */
static void tell_full(struct edge *edge) {
	int64_t now = edge_now_us(edge);
	if (edge->full_told_us && now - edge->full_told_us < FULL_LOG_US) {
		return;
	}
	edge->full_told_us = now;
	log_warn(edge->deps.log, descriptors_for_clients() < edge->options.max_connections
					 ? "short of descriptors: connections are refused"
					 : "as many connections as may be: more are refused");
}

static void on_connection(void *owner, int descriptor) {
	struct edge *edge = owner;
	struct place place = {0};
	enum places_answer answer = places_take(edge->places, descriptor, &place);
	if (answer == PLACES_TAKEN && place.seat == edge->seat) {
		adopt(edge, descriptor, &place);
		return;
	}
	if (answer == PLACES_TAKEN && send_over(edge, descriptor, &place) == 0) {
		return;
	}
	counter_add(edge->metrics.refused_connections, 1);
	places_give_back(edge->places, &place);
	if (answer == PLACES_FULL) {
		tell_full(edge);
	}
	refusal_send(answer == PLACES_CROWDED ? &edge->refusals.crowded : &edge->refusals.full, descriptor,
		     edge_wall_ms(edge));
}

int entrance_open(struct edge *edge, const struct edge_door *door, struct err *err) {
	const struct listener_options options = {
		.inherited = door->inherited,
		.inherited_count = door->inherited_count,
		.address = door->address,
		.port = door->port,
		.descriptor_limit = descriptors_usable(),
	};
	const struct listener_deps deps = {
		.loop = edge->deps.loop,
		.clock = edge->deps.clock,
		.log = edge->deps.log,
		.refused = edge->metrics.refused_connections,
		.on_connection = on_connection,
		.owner = edge,
	};
	if (refusals_make(&edge->refusals)) {
		return err_set(err, ERR_MEMORY, "no memory to refuse connections");
	}
	edge->listener = listener_new(&options, &deps, err);
	return edge->listener ? 0 : -1;
}
