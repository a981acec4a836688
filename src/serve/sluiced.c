#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "server.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

struct arguments {
	const char *file; /* NULL: the default one, if it is there */
	bool check;
};

static const char usage[] = "usage: sluiced [-c FILE] [--check-config]\n"
			    "  -c FILE         settings; else /etc/sluice/sluice.conf, if it is there\n"
			    "  --check-config  read the settings, say what is wrong with them, and stop\n"
			    "  --version, --help\n";

/* -1: go on; else the exit status. */
static int read_arguments(int argc, char **argv, struct arguments *arguments) {
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			arguments->file = argv[++i];
		} else if (strcmp(argv[i], "--check-config") == 0) {
			arguments->check = true;
		} else if (strcmp(argv[i], "--version") == 0) {
			puts("sluiced " SLUICE_VERSION);
			return EXIT_OK;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return EXIT_OK;
		} else {
			fprintf(stderr, "sluiced: '%s' is not understood\n%s", argv[i], usage);
			return EXIT_USAGE;
		}
	}
	return -1;
}

static void complain(void *owner, const char *text) {
	(void)owner;
	fprintf(stderr, "sluiced: %s\n", text);
}

/* The store's thread takes and gives back the same few pages in every transaction: glibc would grow and shrink its heap each
 * time, which costs a system call, and all threads their address translations. A message of the largest size is taken from the
 * heap, too: fresh pages for each of its copies were a third of the time that it held the loop. */
static void keep_heap(void) {
#ifdef __GLIBC__
	mallopt(M_TOP_PAD, 256 * 1024);
	mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
	mallopt(M_MMAP_THRESHOLD, 2 * 1024 * 1024);
#endif
}

int main(int argc, char **argv) {
	struct arguments arguments = {0};
	struct config config;
	struct err err = {0};
	keep_heap();
	int status = read_arguments(argc, argv, &arguments);
	if (status >= 0) {
		return status;
	}
	const char *file = arguments.file ? arguments.file : config_default_path();
	if (config_load(&config, file, environ, complain, NULL, &err)) {
		return EXIT_FAILED;
	}
	status = EXIT_OK;
	if (arguments.check) {
		printf("sluiced: %s is good\n", file ? file : "the environment");
	} else {
		const struct log_sink sink = {STDERR_FILENO, config.log.format, config.log.level};
		const struct log log = {.sink = &sink};
		if (server_run(&config, &log, &err)) {
			status = EXIT_FAILED;
		}
	}
	config_free(&config);
	return status;
}
