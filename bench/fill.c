/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a store as long use would leave it, through the store's own interface: so many agents with so many versions each, the newest
 * served in production; then the first agent's ref goes to and fro between its two newest versions.
 *
 *   bench-fill FILE AGENTS VERSIONS BYTES [MOVES]       BYTES of each configuration
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK 100 /* agents a change */
#define CONFIG_MAX 65536

struct work {
    unsigned agents, first;
    int64_t versions, number;
    size_t bytes;
};

static int put_environment(struct store_tx *tx, const struct change *change, struct err *err) {
    struct environment environment = {.name = WORLD_ENVIRONMENT,
                                      .description = "",
                                      .created_at = change->at,
                                      .created_by = WORLD_AUTHOR,
                                      .seq = change->position.seq};
    return store_environment_put(tx, &environment, err);
}

static int add_version(struct store_tx *tx, const struct change *change, const struct work *work, unsigned agent,
                       struct err *err) {
    char name[WORLD_NAME_SIZE], config[CONFIG_MAX];
    struct version version = {.agent = name,
                              .number = work->number,
                              .parent = work->number - 1,
                              .description = "measured",
                              .source = "{\"kind\":\"api\"}",
                              .created_by = WORLD_AUTHOR,
                              .created_at = change->at,
                              .seq = change->position.seq};
    int r = 0;

    agent_name(agent, name);
    make_config(agent, work->number, config, work->bytes, &version);
    if (work->number == 1) r = change_agent(tx, change, name, err);
    if (r == 0) r = store_version_add(tx, &version, err);
    if (r == 0 && work->number == work->versions) r = change_ref(tx, change, name, 0, work->number, err);
    return r;
}

static int fill_chunk(void *arg, struct store_tx *tx, struct err *err) {
    const struct work *work = arg;
    struct change change;

    int r = change_begin(tx, &change, err);
    if (r == 0 && work->number == 1 && work->first == 0) r = put_environment(tx, &change, err);
    for (unsigned i = work->first; r == 0 && i < work->first + CHUNK && i < work->agents; i++)
        r = add_version(tx, &change, work, i, err);
    return r != 0 ? r : change_end(tx, &change, err);
}

static int move_once(void *arg, struct store_tx *tx, struct err *err) {
    const int64_t *versions = arg; /* from, to */
    struct change change;
    char name[WORLD_NAME_SIZE];

    agent_name(0, name);
    int r = change_begin(tx, &change, err);
    if (r == 0) r = change_ref(tx, &change, name, versions[0], versions[1], err);
    return r != 0 ? r : change_end(tx, &change, err);
}

static void fill(struct store *store, struct work *work, long moves) {
    struct err err = ERR_INIT;
    int64_t versions[] = {work->versions, work->versions - 1};

    for (work->number = 1; work->number <= work->versions; work->number++)
        for (work->first = 0; work->first < work->agents; work->first += CHUNK)
            if (store_write(store, fill_chunk, work, &err) != 0) die("filling", &err);
    for (long i = 0; i < moves; i++) {
        if (store_write(store, move_once, versions, &err) != 0) die("moving a ref", &err);
        int64_t from = versions[0];
        versions[0] = versions[1];
        versions[1] = from;
    }
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 6) die("usage: bench-fill FILE AGENTS VERSIONS BYTES [MOVES]", NULL);
    struct work work = {.agents = (unsigned)strtoul(argv[2], NULL, 10),
                        .versions = strtol(argv[3], NULL, 10),
                        .bytes = strtoul(argv[4], NULL, 10)};
    if (work.bytes > CONFIG_MAX) die("configurations that large are not needed here", NULL);

    struct store *store = open_store(argv[1]);
    fill(store, &work, argc > 5 ? strtol(argv[5], NULL, 10) : 0);
    store_close(store);
    return 0;
}
