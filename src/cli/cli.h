/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of `serin`: everything that is said to a server over HTTP, and the help, the manual pages and the
 * completion, all made from one table (cli.def). Commands that need the store itself are handed in by the caller
 * and are found, listed and described like the others.
 */
#ifndef SERIN_CLI_CLI_H
#define SERIN_CLI_CLI_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* What such a command takes besides settings. */
struct cli_option {
    const char *flag;    /* "--force"; NULL: an argument by its place */
    const char *metavar; /* "FILE"; NULL: takes no value */
    const char *doc;
    bool needed, is_file;
};
struct cli_options {
    const char *command; /* whose they are, for what is said about them */
    const struct cli_option *items;
    size_t count;
};

struct cli_local {
    const char *name;
    const char *summary;               /* "Run the server"; NULL: not listed */
    const char *help;                  /* paragraphs, separated by empty lines */
    const char *examples;              /* one command a line */
    bool settings;                     /* takes the server's settings as options */
    const struct cli_options *options; /* its own ones, or NULL */
    /* Gets the arguments behind the name; answers the exit code. --help does not reach it. */
    int (*run)(int argc, char **argv);
};

/* The whole program behind main(). Exit codes: 0 ok, 1 error, 2 usage. */
int cli_main(int argc, char **argv, const struct cli_local *locals, size_t local_count);
/* Takes a command's own options out of the arguments, in which settings are left: values[i] is that of the i-th option, "" when it takes
 * none, NULL when it is not there. USAGE: an option that neither it nor a setting has, a missing or second value. */
int cli_options_take(const struct cli_options *options, int *argc, char **argv, const char **values,
                     struct err *err) MUST_CHECK;
/* Tells an error on standard error, as every command does: what is wrong, where, and what to try. */
void cli_report(const struct err *err);

#endif
