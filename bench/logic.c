/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the evaluation of a rule takes, over users whose contexts were read before.
 *
 * Times are medians over batches of 64 evaluations, of 1,024 users in turn: `flow`, one after the other, which the processor overlaps, and `chain`, where each
 * user waits for the result before. The peer, in the same run, is one MurmurHash3 of flag and targeting key, which a percentage needs at least.
 *
 * Usage: bench-logic        prints JSON
 */
#include "logic/logic.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define USERS 1024
#define BATCH 64
#define BATCHES 4096

static void must(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "bench-logic: %s failed\n", what);
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

/* ---- the users ---- */

#define MEMBERS 8

struct user {
    char key[24], email[40];
    struct logic_member members[MEMBERS], company[2];
    struct logic_value roles[3];
};

static struct user users[USERS];
static struct logic_context contexts[USERS];

static struct logic_member member(const char *name, struct logic_value value) {
    return (struct logic_member){slice_of(name), value};
}

static void make_user(size_t i) {
    static const char *const countries[] = {"CH", "DE", "FR", "US"};
    struct user *user = users + i;
    snprintf(user->key, sizeof(user->key), "user-%06zu-%04zx", i * 7919 % 1000000, i);
    snprintf(user->email, sizeof(user->email), "%s@%s", user->key, i % 2 ? "serin.dev" : "example.org");
    user->roles[0] = logic_text(SLICE_LIT("reader"));
    user->roles[1] = logic_text(SLICE_LIT("writer"));
    user->roles[2] = logic_text(i % 3 ? SLICE_LIT("guest") : SLICE_LIT("admin"));
    user->company[0] = member("name", logic_text(SLICE_LIT("Serin")));
    user->company[1] = member("size", logic_number((double)(i % 500)));
    struct logic_member members[MEMBERS] = {
        member("targetingKey", logic_text(slice_of(user->key))),
        member("plan", logic_text(i % 4 ? SLICE_LIT("pro") : SLICE_LIT("free"))),
        member("country", logic_text(slice_of(countries[i % 4]))),
        member("age", logic_number((double)(i % 80))),
        member("beta", logic_bool(i % 5 == 0)),
        member("email", logic_text(slice_of(user->email))),
        member("company", (struct logic_value){.type = LOGIC_OBJECT, .count = 2, .members = user->company}),
        member("roles", (struct logic_value){.type = LOGIC_LIST, .count = 3, .items = user->roles}),
    };
    memcpy(user->members, members, sizeof(members));
    contexts[i] = (struct logic_context){.data = {.type = LOGIC_OBJECT, .count = MEMBERS, .members = user->members},
                                         .flag_key = SLICE_LIT("new-welcome-banner"),
                                         .timestamp = 1795442400};
}

/* ---- the rules ---- */

static const char evaluators[] = "{\"staff\":{\"or\":[{\"ends_with\":[{\"var\":\"email\"},\"@serin.dev\"]},"
                                 "{\"in\":[\"admin\",{\"var\":\"roles\"}]}]}}";

static const struct {
    const char *name, *rule;
} rules[] = {
    {"percentage", "{\"fractional\":[[\"on\",20],[\"off\",80]]}"},
    {"condition", "{\"if\":[{\"==\":[{\"var\":\"plan\"},\"pro\"]},\"on\",\"off\"]}"},
    /* All of them hold for three users of four, so that they are all looked at. */
    {"ten_conditions",
     "{\"if\":[{\"and\":[{\"!=\":[{\"var\":\"plan\"},\"gone\"]},{\"in\":[{\"var\":\"country\"},[\"CH\",\"DE\",\"FR\","
     "\"US\"]]},"
     "{\">=\":[{\"var\":\"age\"},0]},{\"<\":[{\"var\":\"company.size\"},1000]},{\"!==\":[{\"var\":\"beta\"},null]},"
     "{\"starts_with\":[{\"var\":\"email\"},\"user-\"]},{\"==\":[{\"var\":\"company.name\"},\"Serin\"]},"
     "{\"in\":[\"reader\",{\"var\":\"roles\"}]},{\"!\":{\"var\":\"banned\"}},{\"==\":[{\"var\":\"plan\"},\"pro\"]},"
     "{\"or\":[{\"$ref\":\"staff\"},true]}]},\"on\",\"off\"]}"},
    {"three_items", "{\"some\":[{\"var\":\"roles\"},{\"==\":[{\"var\":\"\"},\"admin\"]}]}"},
    {"text",
     "{\"fractional\":[{\"cat\":[{\"var\":\"$flagd.flagKey\"},{\"var\":\"email\"}]},[\"on\",20],[\"off\",80]]}"},
};

static struct logic_rule *compile(const char *text) {
    json_t *rule = json_loads(text, 0, NULL), *others = json_loads(evaluators, 0, NULL);
    const struct logic_source source = {.rule = rule, .at = "", .evaluators = others, .flagd = true};
    struct faults faults = FAULTS_INIT;
    struct logic_rule *compiled = NULL;
    struct err err = ERR_INIT;
    must(rule && others && logic_compile_source(&source, &compiled, &faults, &err) == 0, "logic_compile_source");
    faults_deinit(&faults);
    json_decref(rule);
    json_decref(others);
    return compiled;
}

/* ---- measuring ---- */

static size_t evaluate(const struct logic_rule *rule, size_t user) {
    struct logic_scratch scratch;
    struct logic_value result;
    must(logic_evaluate(rule, contexts + user, &scratch, NULL, &result) == 0, "logic_evaluate");
    return result.count + result.truth;
}

static size_t hash(const struct logic_rule *rule, size_t user) {
    char text[64];
    const struct slice flag = contexts[user].flag_key, key = slice_of(users[user].key);
    memcpy(text, flag.ptr, flag.len);
    memcpy(text + flag.len, key.ptr, key.len);
    return murmur3_32(text, flag.len + key.len, 0);
}

static double measure(const struct logic_rule *rule, size_t (*one)(const struct logic_rule *, size_t), bool chain) {
    static double times[BATCHES];
    volatile size_t zero = 0; /* hidden from the compiler: what it masks counts as needed */
    size_t mask = zero, depends = 0, sum = 0;
    for (size_t b = 0; b < BATCHES; b++) {
        double start = now_ns();
        for (size_t i = 0; i < BATCH; i++) {
            sum += one(rule, (b * BATCH + i + depends) % USERS);
            if (chain) depends = sum & mask;
        }
        times[b] = (now_ns() - start) / BATCH;
    }
    zero = sum;
    qsort(times, BATCHES, sizeof(*times), compare_doubles);
    return times[BATCHES / 2];
}

int main(void) {
    for (size_t i = 0; i < USERS; i++)
        make_user(i);
    printf("{");
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct logic_rule *rule = compile(rules[i].rule);
        printf("\"%s_flow_ns\":%.1f,\"%s_chain_ns\":%.1f,", rules[i].name, measure(rule, evaluate, false),
               rules[i].name, measure(rule, evaluate, true));
        logic_free(rule);
    }
    printf("\"peer_hash_flow_ns\":%.1f,\"peer_hash_chain_ns\":%.1f}\n", measure(NULL, hash, false),
           measure(NULL, hash, true));
    return 0;
}
