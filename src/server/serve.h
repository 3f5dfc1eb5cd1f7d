/* SPDX-License-Identifier: Apache-2.0 */
/* `serin serve` and the other commands that need the store itself: where all parts are wired together. */
#ifndef SERIN_SERVER_SERVE_H
#define SERIN_SERVER_SERVE_H

/* Arguments behind the command's name. Exit codes: 0 ok, 1 error, 2 usage. */
int serve_main(int argc, char **argv);
int rebuild_main(int argc, char **argv);
/* Writes the reference pages that come from tables into a folder. */
int docs_main(int argc, char **argv);

#endif
