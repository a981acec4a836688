/* sluicectl signin: an address that signs a browser in, once. */
#include <stdio.h>

#include "ctl.h"

int ctl_signin(const struct config *config, int argc, char **argv) {
	const char *user = NULL;
	const struct ctl_option options[] = {{"--user", &user, NULL}, {0}};
	if (ctl_parse(argc, argv, options, NULL, 0)) {
		return CTL_USAGE;
	}
	if (!user) {
		return ctl_misuse("signin needs --user NAME");
	}
	struct buf command = BUF_INIT;
	struct json_writer writer = json_writer(&command);
	jw_object(&writer);
	jw_key(&writer, "command");
	jw_text(&writer, "signin");
	jw_key(&writer, "user");
	jw_text(&writer, user);
	jw_object_end(&writer);
	struct json *reply = ctl_call(config, &command, true);
	buf_free(&command);
	if (!reply) {
		return CTL_FAILED;
	}
	printf("%.*s\n", STR_ARG(json_str(json_get(reply, "url"))));
	json_free(&reply);
	return ctl_finish_output();
}
