/* SPDX-License-Identifier: Apache-2.0 */
/* `serin serve` and the other commands that need the store itself: where all parts are wired together. */
#ifndef SERIN_SERVER_SERVE_H
#define SERIN_SERVER_SERVE_H

struct cli_options;
struct faults;
struct err;

/* Arguments behind the command's name. Exit codes: 0 ok, 1 error, 2 usage. */
int serve_main(int argc, char **argv);
int rebuild_main(int argc, char **argv);
int backup_main(int argc, char **argv);
int restore_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int simulate_main(int argc, char **argv);
extern const struct cli_options backup_options, restore_options, doctor_options, docs_options, simulate_options;
/* Tells why settings were refused; the exit code. */
int settings_refused(int r, const struct faults *faults, const struct err *err);
/* Prints a reference page that comes from tables, or writes all into a folder. */
int docs_main(int argc, char **argv);

#endif
