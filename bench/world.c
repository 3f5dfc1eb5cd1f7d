/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void die(const char *what, const struct err *err) {
    fprintf(stderr, "bench: %s%s%s\n", what, err ? ": " : "", err ? err->message : "");
    exit(1);
}

void agent_name(unsigned number, char ret[WORLD_NAME_SIZE]) {
    snprintf(ret, WORLD_NAME_SIZE, "agent-%05u", number);
}

struct store *open_store(const char *path) {
    char url[600];
    struct store_options options = {.url = url, .clock = &clock_system};
    struct err err = ERR_INIT;
    struct store *store;

    snprintf(url, sizeof url, "sqlite:%s", path);
    if (store_open(&options, &store, &err) < 0) die("opening the store", &err);
    return store;
}

void remove_store(const char *path) {
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    char name[600];

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

void make_config(unsigned agent, int64_t number, char *config, size_t size, struct version *version) {
    static const char text[] = "Look the order up before you answer; never promise a date. ";
    size_t at =
        (size_t)snprintf(config, size, "{\"model\":\"gpt-4o\",\"schema\":\"agent/v1\",\"system_prompt\":\"%u, %lld. ",
                         agent, (long long)number);

    if (at + 2 > size) die("a configuration is too small", NULL);
    for (size_t i = 0; at < size - 2; i++)
        config[at++] = text[i % (sizeof text - 1)];
    memcpy(config + at, "\"}", 2);
    version->config = (struct slice){config, size};
    if (sha256_bytes(config, size, &version->content_hash) < 0) die("SHA-256", NULL);
    version->config_hash = version->content_hash;
}

int change_begin(struct store_tx *tx, struct change *change, struct err *err) {
    return store_advance(tx, &change->position, &change->at, err);
}

int change_end(struct store_tx *tx, const struct change *change, struct err *err) {
    struct audit_entry entry = {.position = change->position,
                                .at = change->at,
                                .actor = WORLD_AUTHOR,
                                .actor_name = "bench",
                                .operation = "bench",
                                .agent = "",
                                .environment = "",
                                .reason = "measured",
                                .detail = "{}"};
    return store_audit_append(tx, &entry, err);
}

int change_agent(struct store_tx *tx, const struct change *change, const char *name, struct err *err) {
    struct agent agent = {.name = name,
                          .description = "",
                          .created_by = WORLD_AUTHOR,
                          .created_at = change->at,
                          .seq = change->position.seq};
    return store_agent_put(tx, &agent, err);
}

int change_ref(struct store_tx *tx, const struct change *change, const char *agent, int64_t from, int64_t to,
               struct err *err) {
    struct deployment deployment = {.id = WORLD_AUTHOR,
                                    .agent = agent,
                                    .environment = WORLD_ENVIRONMENT,
                                    .version = to,
                                    .previous = from,
                                    .reason = "measured",
                                    .created_by = WORLD_AUTHOR,
                                    .created_at = change->at,
                                    .seq = change->position.seq};
    return store_deployment_add(tx, &deployment, err);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void print_times(const char *name, double *times, size_t count) {
    qsort(times, count, sizeof *times, compare);
    printf("\"%s\": {\"median\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name, times[count / 2], times[count * 99 / 100],
           times[count - 1]);
}
