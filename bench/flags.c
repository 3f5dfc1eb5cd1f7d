/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flags inside the process: one that asks for a percentage, evaluated for users in turn; a set of 10,000 of which one changes; and a resolve of an agent to which
 * 20 flags are bound, beside the same without flags.
 *
 * Usage: bench-flags        prints JSON
 */
#include "resolve/resolve.h"
#include "snapshot/publisher.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define USERS 1024
#define BATCH 64
#define BATCHES 2048
#define MANY 10000
#define BOUND 20
#define CHANGES 301

static void must(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "bench-flags: %s failed\n", what);
    exit(1);
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at(double *values, size_t count, double part) {
    qsort(values, count, sizeof(*values), compare_doubles);
    return values[(size_t)((double)(count - 1) * part)];
}

/* ---- users ---- */

static struct user {
    char key[24];
    struct logic_member members[3];
    struct logic_context context;
} users[USERS];

static void make_users(void) {
    for (size_t i = 0; i < USERS; i++) {
        struct user *user = &users[i];
        snprintf(user->key, sizeof(user->key), "user-%06zu", i * 7919 % 1000000);
        user->members[0] = (struct logic_member){SLICE_LIT("targetingKey"), logic_text(slice_of(user->key))};
        user->members[1] =
            (struct logic_member){SLICE_LIT("plan"), logic_text(i % 4 ? SLICE_LIT("pro") : SLICE_LIT("free"))};
        user->members[2] = (struct logic_member){SLICE_LIT("country"), logic_text(SLICE_LIT("CH"))};
        user->context.data = (struct logic_value){.type = LOGIC_OBJECT, .count = 3, .members = user->members};
    }
}

/* ---- one flag ---- */

#define PERCENTAGE                                                                                                     \
    "{\"defaultVariant\":\"off\",\"state\":\"ENABLED\",\"targeting\":{\"fractional\":[[\"on\",20],[\"off\",80]]},"     \
    "\"variants\":{\"off\":false,\"on\":true}}"

static double evaluate_ns(void) {
    static double times[BATCHES];
    json_t *definition;
    struct faults faults = FAULTS_INIT;
    struct flag *flag;
    struct logic_scratch scratch;
    size_t on = 0, next = 0;
    must(json_parse(PERCENTAGE, strlen(PERCENTAGE), JSON_DEPTH_MAX, &definition, NULL) == 0, "json_parse");
    struct flag_source source = {.key = "web_search", .definition = definition, .at = "", .bindings_at = ""};
    must(flag_new(&source, &flag, &faults, NULL) == 0, "flag_new");
    for (size_t b = 0; b < BATCHES; b++) {
        double start = now_ns();
        for (size_t i = 0; i < BATCH; i++) {
            struct flag_result result;
            flag_evaluate(flag, &users[next].context, &scratch, NULL, NULL, &result);
            on += (size_t)result.variant;
            next = (next + 1 + (result.variant == 7)) % USERS; /* each waits for the one before */
        }
        times[b] = (now_ns() - start) / BATCH;
    }
    must(on > BATCHES && on < (size_t)BATCH * BATCHES, "giving it to some");
    flag_unref(flag);
    json_decref(definition);
    return at(times, BATCHES, 0.5);
}

/* ---- a snapshot ---- */

static char keys[MANY][16];

static struct snapshot *with_entry(struct snapshot *base) {
    static char config[3001];
    struct snapshot_edit *edit;
    struct snapshot *next;
    int len = snprintf(config, sizeof(config), "{\"model\":\"m\",\"schema\":\"agent/v1\",\"system_prompt\":\"");
    memset(config + len, 'p', sizeof(config) - (size_t)len - 260);
    len = (int)sizeof(config) - 260;
    len += snprintf(config + len, 30, "\",\"tools\":[\"tool-00\"");
    for (int i = 1; i < BOUND; i++)
        len += snprintf(config + len, 16, ",\"tool-%02d\"", i);
    snprintf(config + len, 3, "]}");
    struct version version = {.agent = "support", .number = 1, .config = slice_of(config)};
    const struct version *versions[] = {&version};
    struct snapshot_entry_spec spec = {.deployment = {.id = "d",
                                                      .agent = "support",
                                                      .environment = "production",
                                                      .version = 1,
                                                      .reason = "",
                                                      .created_by = "k",
                                                      .seq = 1},
                                       .versions = versions,
                                       .version_count = 1};
    must(snapshot_edit_new(base, &edit) == 0 && snapshot_edit_entry(edit, &spec, NULL) == 0, "snapshot_edit_entry");
    must(snapshot_edit_finish(edit, (struct position){1, 1}, &next) == 0, "snapshot_edit_finish");
    snapshot_unref(base);
    return next;
}

static struct snapshot *with_flags(struct snapshot *base, const struct snapshot_flag_spec *flags, size_t count) {
    struct snapshot_flags_spec spec = {.environment = "production", .flags = flags, .count = count, .seq = 2};
    struct snapshot_edit *edit;
    struct snapshot *next;
    size_t left_out;
    must(snapshot_edit_new(base, &edit) == 0 && snapshot_edit_flags(edit, &spec, &left_out, NULL) == 0 && !left_out,
         "snapshot_edit_flags");
    must(snapshot_edit_finish(edit, (struct position){1, 2}, &next) == 0, "snapshot_edit_finish");
    return next;
}

/* From the change to where it is published and the old snapshot is gone. */
static void measure_changes(double *ret_median, double *ret_p99) {
    static struct snapshot_flag_spec flags[MANY];
    double times[CHANGES];
    struct publisher *publisher;
    struct snapshot *empty;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(keys[i], sizeof(keys[i]), "flag-%05zu", i);
        flags[i] = (struct snapshot_flag_spec){keys[i], PERCENTAGE, "[]", 2};
    }
    must(snapshot_new(&empty) == 0, "snapshot_new");
    must(publisher_new(&publisher) == 0, "publisher_new");
    publisher_publish(publisher, with_flags(empty, flags, MANY));
    snapshot_unref(empty);
    for (size_t i = 0; i < CHANGES; i++) {
        double start = now_ns();
        struct snapshot *base = publisher_get(publisher);
        struct snapshot *next = with_flags(base, &flags[i * 31 % MANY], 1);
        snapshot_unref(base);
        publisher_publish(publisher, next);
        times[i] = (now_ns() - start) / 1e3;
    }
    publisher_free(publisher);
    *ret_median = at(times, CHANGES, 0.5);
    *ret_p99 = at(times, CHANGES, 0.99);
}

static double resolve_ns(const struct snapshot *snapshot) {
    static double times[BATCHES];
    struct str out = STR_INIT;
    size_t next = 0, sum = 0;
    str_reserve(&out, 8192);
    for (size_t b = 0; b < BATCHES; b++) {
        double start = now_ns();
        for (size_t i = 0; i < BATCH; i++, next = (next + 1) % USERS) {
            struct resolve_question question = {.agent = SLICE_LIT("support"),
                                                .environment = SLICE_LIT("production"),
                                                .targeting_key = slice_of(users[next].key),
                                                .attributes = &users[next].context};
            struct decision decision;
            must(resolve(snapshot, &question, &decision) == 0, "resolve");
            str_clear(&out);
            decision_write(&decision, &out);
            sum += out.len;
        }
        times[b] = (now_ns() - start) / BATCH;
    }
    must(sum > 0, "writing");
    str_deinit(&out);
    return at(times, BATCHES, 0.5);
}

static void measure_resolves(double *ret_without, double *ret_with) {
    struct snapshot_flag_spec flags[BOUND];
    char bindings[BOUND][64], names[BOUND][16];
    struct snapshot *plain;
    must(snapshot_new(&plain) == 0, "snapshot_new");
    plain = with_entry(plain);
    for (int i = 0; i < BOUND; i++) {
        snprintf(names[i], sizeof(names[i]), "flag-%02d", i);
        snprintf(bindings[i], sizeof(bindings[i]), "[{\"agent\":\"support\",\"tool\":\"tool-%02d\"}]", i);
        flags[i] = (struct snapshot_flag_spec){names[i], PERCENTAGE, bindings[i], 2};
    }
    struct snapshot *bound = with_flags(plain, flags, BOUND);
    *ret_without = resolve_ns(plain);
    *ret_with = resolve_ns(bound);
    snapshot_unref(bound);
    snapshot_unref(plain);
}

int main(void) {
    double median, p99, without, with;
    make_users();
    double evaluate = evaluate_ns();
    measure_changes(&median, &p99);
    measure_resolves(&without, &with);
    printf("{\"evaluate_ns\": %.1f, \"change_us\": %.1f, \"change_p99_us\": %.1f, \"resolve_ns\": %.1f, "
           "\"resolve_20_flags_ns\": %.1f}\n",
           evaluate, median, p99, without, with);
    return 0;
}
