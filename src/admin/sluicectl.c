/* sluicectl: administration from a shell. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

static const char help_text[] =
	"usage: sluicectl [-c FILE] COMMAND\n"
	"\n"
	"  key create --user NAME [--label TEXT]   make an API key; prints the key, once, and nothing else\n"
	"  key list [--json]                       all API keys, oldest first\n"
	"  key revoke ID                           end an API key\n"
	"  signin --user NAME                      print an address that signs a browser in, once\n"
	"  status                                  whether the server runs and can write (exit code 0)\n"
	"  help                                    this text\n"
	"\n"
	"  -c FILE     settings (default: /etc/sluice/sluice.conf, if it is there)\n"
	"  --version   print the version\n"
	"\n"
	"While the server runs, commands go to it through DIR/admin.sock; otherwise sluicectl opens the store itself.\n"
	"Exit codes: 0 done, 1 failed, 2 wrong usage.\n";

static const struct {
	const char *name;
	ctl_fn *run;
} commands[] = {{"key", ctl_key}, {"signin", ctl_signin}, {"status", ctl_status}};

static void print_complaint(void *owner, const char *text) {
	(void)owner;
	ctl_complain("%s", text);
}

static int run(ctl_fn *command, const char *path, int argc, char **argv) {
	struct config config;
	if (config_load(&config, path ? path : config_default_path(), environ, print_complaint, NULL, NULL)) {
		return CTL_FAILED;
	}
	int result = command(&config, argc, argv);
	config_free(&config);
	return result;
}

static int print_out(const char *text) {
	fputs(text, stdout);
	return ctl_finish_output();
}

int main(int argc, char **argv) {
	const char *path = NULL;
	int at = 1;
	while (at < argc && argv[at][0] == '-') {
		if (!strcmp(argv[at], "-c") && at + 1 < argc) {
			path = argv[at + 1];
			at += 2;
		} else if (!strcmp(argv[at], "-h") || !strcmp(argv[at], "--help")) {
			return print_out(help_text);
		} else if (!strcmp(argv[at], "--version")) {
			return print_out("sluicectl " SLUICE_VERSION "\n");
		} else {
			return ctl_misuse(!strcmp(argv[at], "-c") ? "%s needs a file" : "unknown option '%s'",
					  argv[at]);
		}
	}
	if (at == argc) {
		fputs(help_text, stderr);
		return CTL_USAGE;
	}
	if (!strcmp(argv[at], "help")) {
		return print_out(help_text);
	}
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (!strcmp(argv[at], commands[i].name)) {
			return run(commands[i].run, path, argc - at, argv + at);
		}
	}
	return ctl_misuse("there is no command '%s'", argv[at]);
}
