#include "entrance.h"

#include <unistd.h>

#include "base/mem.h"
#include "descriptors.h"

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

static void on_connection(void *owner, int descriptor) {
	struct edge *edge = owner;
	struct place place = {0};
	bool placed = places_take(edge->places, descriptor, &place) == 0;
	if (placed && place.seat == edge->seat) {
		adopt(edge, descriptor, &place);
	} else if (!placed || send_over(edge, descriptor, &place)) {
		counter_add(edge->metrics.refused_connections, 1);
		places_give_back(edge->places, &place);
		close(descriptor);
	}
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
	edge->listener = listener_new(&options, &deps, err);
	return edge->listener ? 0 : -1;
}
