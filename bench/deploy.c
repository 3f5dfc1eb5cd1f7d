/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a commit to where every resolve on this node sees it, with the parts of the server that do it: store, live, publisher.
 * Each deploy moves another agent to its other version; a resolve must then answer that version. Microseconds, as JSON.
 *
 *   bench-deploy FILE AGENTS DEPLOYS        a store made by bench-fill with two VERSIONS
 */
#include "ops/live.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

#define STRIDE 7919 /* a prime: neighbours in time are no neighbours in memory */

struct move {
    char agent[WORLD_NAME_SIZE];
    int64_t from, to;
};

static int commit_move(void *arg, struct store_tx *tx, struct err *err) {
    const struct move *move = arg;
    struct change change;

    int r = change_begin(tx, &change, err);
    if (r == 0) r = change_ref(tx, &change, move->agent, move->from, move->to, err);
    return r != 0 ? r : change_end(tx, &change, err);
}

static int64_t served_version(struct publisher *publisher, const char *agent) {
    struct publisher_borrow borrow = publisher_borrow(publisher);
    const struct resolve_question question = {.agent = {agent, strlen(agent)},
                                              .environment = SLICE_LIT(WORLD_ENVIRONMENT)};
    struct decision decision;

    int r = resolve(borrow.snapshot, &question, &decision);
    int64_t version = r == 0 ? decision.version->number : 0;
    publisher_return(publisher, borrow);
    return version;
}

/* Microseconds from the commit's return to where a resolve answers the new version. */
static double deploy(struct store *store, struct live *live, struct publisher *publisher, struct move *move) {
    struct err err = ERR_INIT;

    move->from = served_version(publisher, move->agent);
    move->to = move->from == 1 ? 2 : 1;
    if (store_write(store, commit_move, move, &err) != 0) die("deploying", &err);
    int64_t committed = clock_monotonic(&clock_system);
    if (live_catch_up(live, &err) < 0) die("publishing", &err);
    if (served_version(publisher, move->agent) != move->to) die("a deploy is not visible", NULL);
    return (double)(clock_monotonic(&clock_system) - committed);
}

int main(int argc, char **argv) {
    struct err err = ERR_INIT;
    struct publisher *publisher;
    struct live *live;

    if (argc != 4) die("usage: bench-deploy FILE AGENTS DEPLOYS", NULL);
    unsigned agents = (unsigned)strtoul(argv[2], NULL, 10);
    size_t deploys = strtoul(argv[3], NULL, 10);
    double *times = calloc(deploys, sizeof *times);
    if (!times || publisher_new(&publisher) < 0) die("out of memory", NULL);

    struct store *store = open_store(argv[1]);
    struct live_options options = {.store = store, .publisher = publisher, .clock = &clock_system};
    if (live_new(&options, &live, &err) < 0 || live_catch_up(live, &err) < 0) die("loading the snapshot", &err);
    for (size_t i = 0; i < deploys; i++) {
        struct move move;
        agent_name((unsigned)(i * STRIDE % agents), move.agent);
        times[i] = deploy(store, live, publisher, &move);
    }
    printf("{");
    print_times("visible", times, deploys);
    printf("}\n");
    live_free(live);
    publisher_free(publisher);
    store_close(store);
    free(times);
    return 0;
}
