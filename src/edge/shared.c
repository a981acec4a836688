#include "shared.h"

#include "base/mem.h"
#include "descriptors.h"
#include "lws_log.h"

struct edge_shared *edge_shared_new(const struct edge_options *options, unsigned loops, const struct log *log,
				    struct err *err) {
	struct edge_shared *shared = mem_zalloc(sizeof *shared);
	if (!shared) {
		err_set(err, ERR_MEMORY, "no memory for the edge");
		return NULL;
	}
	/* libwebsockets makes its lines in one buffer of the whole process: from several threads they would be garbled. */
	lws_log_route(loops == 1 ? log : NULL);
	uint32_t most = descriptors_for_clients();
	most = options->max_connections < most ? options->max_connections : most;
	shared->places = places_new(most, options->max_connections_per_address, loops, err);
	shared->users = shared->places ? users_new(&options->http_requests, &options->bytes, err) : NULL;
	shared->files = shared->users ? files_load(options->www, err) : NULL;
	if (!shared->files) {
		edge_shared_free(&shared);
	}
	return shared;
}

void edge_shared_free(struct edge_shared **shared) {
	if (*shared) {
		files_free(&(*shared)->files);
		users_free(&(*shared)->users);
		places_free(&(*shared)->places);
		mem_free(*shared);
		*shared = NULL;
	}
}
