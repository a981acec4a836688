/* What the subcommands of sluicectl share. */
#ifndef SLUICE_ADMIN_CTL_H
#define SLUICE_ADMIN_CTL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"
#include "config/config.h"

enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

/* A subcommand: its own name is argv[0]. Returns the exit code. */
typedef int ctl_fn(const struct config *config, int argc, char **argv);
ctl_fn ctl_key, ctl_signin, ctl_status;

/* Sends a command to the server, or runs it here when none runs (see admin_local_call for `may_make`). NULL after it has
 * said on standard error what went wrong. The caller frees. */
struct json *ctl_call(const struct config *config, const struct buf *command, bool may_make);
/* Whether a server answers; its reply to "status" in *reply (the caller frees). */
bool ctl_ask_server(const struct config *config, struct json **reply);

/* "sluicectl: …" and a newline on standard error. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Complains, names `sluicectl help`, and returns CTL_USAGE. */
int ctl_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Standard output was written, to the last byte: a key that got lost on the way can't be shown again. */
int ctl_finish_output(void);

/* Options of the form --name VALUE and --flag, and nothing else; getopt's abbreviations would freeze future names. */
struct ctl_option {
	const char *name;   /* "--user" */
	const char **value; /* NULL: a flag */
	bool *given;        /* may be NULL when `value` is not */
};
/* Reads argv[1…]; up to `positionals` other arguments go to `rest`. CTL_OK or CTL_USAGE, complained about. */
int ctl_parse(int argc, char **argv, const struct ctl_option *options, const char **rest, int positionals);

#endif
