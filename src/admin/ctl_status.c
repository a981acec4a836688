/* sluicectl status: whether the server runs and can write. */
#include <stdio.h>

#include "ctl.h"

int ctl_status(const struct config *config, int argc, char **argv) {
	const struct ctl_option options[] = {{0}};
	if (ctl_parse(argc, argv, options, NULL, 0)) {
		return CTL_USAGE;
	}
	struct json *reply;
	if (!ctl_ask_server(config, &reply)) {
		return CTL_FAILED;
	}
	struct str store = json_str(json_get(reply, "store"));
	bool well = str_is(store, "ok");
	printf("sluiced %.*s is running; store: %.*s\n", STR_ARG(json_str(json_get(reply, "version"))), STR_ARG(store));
	json_free(&reply);
	int result = ctl_finish_output();
	return well ? result : CTL_FAILED;
}
