/* SPDX-License-Identifier: Apache-2.0 */
/* `serin`: the commands that need the store itself. */
#include "server/serve.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"serve", serve_main}, {"rebuild", rebuild_main}, {"docs", docs_main}};

    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (!strcmp(argv[1], commands[i].name)) return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr, "usage: serin serve|rebuild\n");
    return 2;
}
