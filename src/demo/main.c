/* sluice-demo-model: a Chat Completions server that answers by rules. A demo, not a language model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#include "server.h"

#define DEFAULT_PORT 8081
#define DEFAULT_WORDS_PER_SECOND 12
#define MAX_WORDS_PER_SECOND 100000

static const char usage[] = "usage: sluice-demo-model [-p PORT] [-a ADDRESS] [-s WORDS_PER_SECOND]\n"
			    "\n"
			    "A demo of a model server: it speaks the Chat Completions API and answers from a table of\n"
			    "rules. It is not a language model.\n"
			    "\n"
			    "  -p PORT              listen on this port (8081); 0 takes a free one\n"
			    "  -a ADDRESS           listen on this address (127.0.0.1)\n"
			    "  -s WORDS_PER_SECOND  the pace of a streamed answer (12)\n";

static int read_number(const char *text, uint64_t least, uint64_t most, int *out) {
	uint64_t value;
	if (str_to_u64(str_of(text), &value) != 0 || value < least || value > most) {
		fprintf(stderr, "sluice-demo-model: '%s' is not a number from %llu to %llu\n", text,
			(unsigned long long)least, (unsigned long long)most);
		return -1;
	}
	*out = (int)value;
	return 0;
}

static int read_options(int count, char **arguments, struct server_options *options) {
	int option;
	while ((option = getopt(count, arguments, "p:a:s:h")) != -1) {
		switch (option) {
		case 'p':
			if (read_number(optarg, 0, 65535, &options->port) != 0) {
				return -1;
			}
			break;
		case 'a':
			options->address = optarg;
			break;
		case 's':
			if (read_number(optarg, 1, MAX_WORDS_PER_SECOND, &options->words_per_second) != 0) {
				return -1;
			}
			break;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		default:
			fputs(usage, stderr);
			return -1;
		}
	}
	if (optind < count) {
		fputs(usage, stderr);
		return -1;
	}
	return 0;
}

int main(int count, char **arguments) {
	struct server_options options = {
		.address = "127.0.0.1",
		.port = DEFAULT_PORT,
		.words_per_second = DEFAULT_WORDS_PER_SECOND,
	};
	if (read_options(count, arguments, &options) != 0) {
		return 2;
	}
	struct err err = {0};
	struct server *server = server_new(&options, &err);
	if (!server) {
		fprintf(stderr, "sluice-demo-model: %s\n", err.text);
		return EXIT_FAILURE;
	}
	bool six = strchr(options.address, ':') != NULL;
	printf("listening on http://%s%s%s:%d/v1 (a demo that answers by rules, not a language model)\n",
	       six ? "[" : "", options.address, six ? "]" : "", server_port(server));
	fflush(stdout);
	server_run(server);
	server_free(&server);
	return EXIT_SUCCESS;
}
