/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a resolve takes inside the process, and what the snapshot weighs.
 *
 * Agents are asked in random order, so that among many of them entries and configurations come from memory and not from the
 * processor's caches; the questions themselves lie in the order in which they are asked, as a request's bytes do.
 * Times are medians over batches of 64 calls. Each figure is taken twice: `flow`, calls one after the other, which the
 * processor overlaps, and `chain`, where every question waits for the answer before it, so that nothing overlaps.
 *
 * The same once more with a rollout at 30 % running on every agent: `rollout` for everybody; `audience` with a rule of two conditions, which all users meet.
 *
 * The peers are what the machine needs at least, in the same run and at the same size: `load`, one read that depends on the read before
 * from 64 bytes an agent, in random order; `copy`, memcpy of one configuration, in random order. Each size runs in a
 * process of its own, so that none finds what another left in the heap.
 *
 * Usage: bench-resolve        prints JSON
 */
#include "resolve/resolve.h"
#include "api/flow.h"
#include "snapshot/publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONFIG_BYTES 3000
#define BATCH 64
#define BATCHES 2048
#define CALLS (BATCH * BATCHES)
#define DEPLOYS 1001

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *bytes, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *bytes, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

static uint64_t allocations;

void *__wrap_malloc(size_t size) {
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *bytes, size_t size) {
    allocations++;
    return __real_realloc(bytes, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size) {
    allocations++;
    return __real_aligned_alloc(align, size);
}

static void must(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "bench-resolve: %s failed\n", what);
    exit(1);
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static size_t resident_bytes(void) {
    char line[200];
    FILE *file = fopen("/proc/self/statm", "r");
    must(file && fgets(line, sizeof(line), file), "reading /proc/self/statm");
    fclose(file);
    char *second = strchr(line, ' ');
    must(second, "finding the resident pages");
    return strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof(*values), compare_doubles);
    return values[count / 2];
}

/* ---- the world ---- */

/* As small as a question can be, so that reading the questions does not drive the snapshot out of the caches. */
struct asked {
    char agent[16], key[16]; /* both full, neither with a NUL */
};

enum beside { NOTHING, ROLLOUT, AUDIENCE };

struct world {
    struct publisher *publisher;
    unsigned agents;
    enum beside beside;
    struct asked *asked; /* CALLS of them */
    size_t resident;
};

static void agent_name(unsigned i, char ret[17]) {
    snprintf(ret, 17, "agent-%010u", i);
}

static void put_agent(struct snapshot_edit *edit, enum beside beside, unsigned i, int64_t number, int64_t seq) {
    char name[17], salt[37], config[CONFIG_BYTES + 1];
    struct err err;
    agent_name(i, name);
    int head = snprintf(config, sizeof(config), "{\"model\":\"m\",\"system_prompt\":\"%u of %" PRId64 " ", i, number);
    memset(config + head, 'p', (size_t)(CONFIG_BYTES - head));
    memcpy(config + CONFIG_BYTES - 2, "\"}", 3);
    struct version version = {.agent = name, .number = number, .config = {config, CONFIG_BYTES}};
    struct version candidate = version;
    candidate.number = number + 1;
    const struct version *versions[] = {&version, &candidate};
    snprintf(salt, sizeof(salt), "0191f1c4-5d2e-7c3a-9b1f-%012u", i);
    const struct rollout rollout = {
        .id = salt,
        .candidate = number + 1,
        .salt = salt,
        .share = 30000,
        .seq = seq,
        .audience = beside == AUDIENCE ? "{\"and\":[{\"==\":[{\"var\":\"plan\"},\"pro\"]},"
                                         "{\"in\":[{\"var\":\"country\"},[\"CH\",\"DE\",\"FR\"]]}]}"
                                       : NULL,
    };
    const struct snapshot_entry_spec spec = {
        .deployment = {.id = "0191f1c4-5d2e-7c3a-9b1f-0123456789ab",
                       .agent = name,
                       .environment = "production",
                       .version = number,
                       .previous = number - 1,
                       .reason = "a line of text that says why",
                       .created_by = "0191f1c4-5d2e-7c3a-9b1f-ba9876543210",
                       .seq = seq},
        .rollout = beside ? &rollout : NULL,
        .versions = versions,
        .version_count = beside ? 2 : 1,
    };
    must(snapshot_edit_entry(edit, &spec, &err) == 0, "snapshot_edit_entry");
}

static double publish_agents(const struct world *world, unsigned from, unsigned to, int64_t number, int64_t seq) {
    struct publisher *publisher = world->publisher;
    double start = now_ns();
    struct snapshot *base = publisher_get(publisher), *next;
    struct snapshot_edit *edit;
    must(snapshot_edit_new(base, &edit) == 0, "snapshot_edit_new");
    for (unsigned i = from; i < to; i++)
        put_agent(edit, world->beside, i, number, seq);
    must(snapshot_edit_finish(edit, (struct position){1, seq}, &next) == 0, "snapshot_edit_finish");
    snapshot_unref(base);
    publisher_publish(publisher, next);
    return now_ns() - start;
}

static void make_questions(struct world *world) {
    uint64_t random = 42;
    world->asked = calloc(CALLS, sizeof(*world->asked));
    must(world->asked, "calloc");
    for (size_t i = 0; i < CALLS; i++) {
        char text[17];
        agent_name((unsigned)(next_random(&random) % world->agents), text);
        memcpy(world->asked[i].agent, text, 16);
        snprintf(text, sizeof(text), "user-%011u", (unsigned)(next_random(&random) % 1000000));
        memcpy(world->asked[i].key, text, 16);
    }
}

static void world_init(struct world *world, unsigned agents, enum beside beside) {
    *world = (struct world){.agents = agents, .beside = beside};
    size_t before = resident_bytes();
    must(publisher_new(&world->publisher) == 0, "publisher_new");
    publish_agents(world, 0, agents, 1, 1);
    world->resident = resident_bytes() - before;
    make_questions(world);
}

static void world_deinit(struct world *world) {
    publisher_free(world->publisher);
    free(world->asked);
}

/* ---- measuring ---- */

struct call {
    const struct snapshot *snapshot;
    struct str out;
    bool write;
    size_t mask; /* 0, hidden from the compiler: what it masks counts as needed */
    bool chain;
    struct flow *flow; /* NULL: decisions are not counted */
};

/* As a request has them: found by name in a few. */
static struct logic_value find_attribute(const void *ctx, struct slice path) {
    const struct slice *attributes = ctx;
    for (size_t i = 0; i < 4; i += 2)
        if (slice_equal(attributes[i], path))
            return (struct logic_value){.type = LOGIC_TEXT, .text = attributes[i + 1]};
    return (struct logic_value){.type = LOGIC_NULL};
}

static double measure(const struct world *world, struct call *call) {
    static const struct slice attributes[] = {{"plan", 4}, {"pro", 3}, {"country", 7}, {"DE", 2}};
    static const struct logic_context context = {find_attribute, attributes};
    static double times[BATCHES];
    size_t depends = 0, sum = 0;
    for (size_t b = 0; b < BATCHES; b++) {
        double start = now_ns();
        for (size_t i = b * BATCH; i < (b + 1) * BATCH; i++) {
            const struct asked *asked = world->asked + i + depends;
            const struct resolve_question question = {.agent = {asked->agent, 16},
                                                      .environment = SLICE_LIT("production"),
                                                      .targeting_key = {asked->key, 16},
                                                      .attributes = &context};
            struct decision decision;
            must(resolve(call->snapshot, &question, &decision) == 0, "resolve");
            sum += (size_t)decision.version;
            if (call->write) {
                str_clear(&call->out);
                decision_write(&decision, &call->out);
                sum += (size_t)call->out.data[call->out.len - 20];
            }
            if (call->flow) flow_count(call->flow, &decision);
            if (call->chain) depends = sum & call->mask;
        }
        times[b] = (now_ns() - start) / BATCH;
    }
    return median(times, BATCHES);
}

/* ---- the peers ---- */

/* One line an agent, each pointing to the next in a random order. */
static double measure_load(unsigned agents) {
    static double times[BATCHES];
    struct line {
        struct line *next;
        char rest[56];
    } *lines = aligned_alloc(64, agents * sizeof(*lines));
    unsigned *order = calloc(agents, sizeof(*order));
    uint64_t random = 3;
    must(lines && order, "malloc");
    for (unsigned i = 0; i < agents; i++) {
        unsigned other = (unsigned)(next_random(&random) % (i + 1));
        order[i] = order[other];
        order[other] = i;
    }
    for (unsigned i = 0; i < agents; i++)
        lines[order[i]].next = lines + order[(i + 1) % agents];
    struct line *volatile end;
    struct line *at = lines;
    for (size_t i = 0; i < (size_t)CALLS; i++)
        at = at->next;
    for (size_t b = 0; b < BATCHES; b++) {
        double start = now_ns();
        for (size_t i = 0; i < BATCH; i++)
            at = at->next;
        end = at;
        times[b] = (now_ns() - start) / BATCH;
    }
    must(end != NULL, "following the lines");
    free(order);
    free(lines);
    return median(times, BATCHES);
}

static double measure_copy(unsigned agents) {
    static double times[BATCHES];
    static char out[CONFIG_BYTES];
    uint64_t random = 5;
    char *configs = malloc((size_t)agents * CONFIG_BYTES);
    must(configs, "malloc");
    memset(configs, 'c', (size_t)agents * CONFIG_BYTES);
    for (size_t b = 0; b < BATCHES; b++) {
        double start = now_ns();
        for (size_t i = 0; i < BATCH; i++) {
            memcpy(out, configs + next_random(&random) % agents * CONFIG_BYTES, CONFIG_BYTES);
            __asm__ volatile("" : : "r"(out) : "memory");
        }
        times[b] = (now_ns() - start) / BATCH;
    }
    free(configs);
    return median(times, BATCHES);
}

/* ---- one size ---- */

struct figures {
    unsigned agents;
    double resolve_flow, resolve_chain, write_flow, write_chain, load, copy;
    double count_flow, count_write_flow, rollout_count_flow;
    double rollout_flow, rollout_chain, rollout_write_flow, audience_flow, audience_chain;
    double deploy_us, memory_ratio;
    uint64_t allocations;
};

static void measure_calls(const struct world *world, struct figures *figures) {
    volatile size_t zero = 0;
    struct publisher_borrow borrow = publisher_borrow(world->publisher);
    struct call call = {.snapshot = borrow.snapshot, .mask = zero};
    struct flow *flow;
    must(flow_new(&flow, NULL) == 0, "flow_new");
    str_reserve(&call.out, (size_t)2 * CONFIG_BYTES);
    must(!call.out.failed, "str_reserve");

    uint64_t before = allocations;
    figures->resolve_flow = measure(world, &call);
    call.chain = true;
    figures->resolve_chain = measure(world, &call);
    call.write = true;
    figures->write_chain = measure(world, &call);
    call.chain = false;
    figures->write_flow = measure(world, &call);
    call.flow = flow;
    uint64_t first = allocations;
    (void)measure(world, &call); /* the first of each kind makes its place */
    before += allocations - first;
    figures->count_write_flow = measure(world, &call);
    call.write = false;
    figures->count_flow = measure(world, &call);
    figures->allocations = allocations - before;
    publisher_return(world->publisher, borrow);
    flow_free(flow);
    str_deinit(&call.out);
}

/* From the decision to deploy, with the configuration at hand, to where every reader sees it and the old snapshot is gone. */
static double measure_deploys(const struct world *world) {
    static double deploys[DEPLOYS];
    uint64_t random = 7;
    for (int64_t i = 0; i < DEPLOYS; i++) {
        unsigned agent = (unsigned)(next_random(&random) % world->agents);
        deploys[i] = publish_agents(world, agent, agent + 1, i + 2, i + 2) / 1000;
    }
    return median(deploys, DEPLOYS);
}

static struct figures measure_size(unsigned agents, enum beside beside) {
    struct figures figures = {.agents = agents};
    struct world world;
    world_init(&world, agents, beside);
    figures.memory_ratio = (double)world.resident / ((double)agents * CONFIG_BYTES);
    measure_calls(&world, &figures);
    if (beside == NOTHING) figures.deploy_us = measure_deploys(&world);
    world_deinit(&world);
    if (beside != NOTHING) return figures;
    figures.load = measure_load(agents);
    figures.copy = measure_copy(agents);
    return figures;
}

static struct figures measure_apart(unsigned agents, enum beside beside) {
    struct figures figures;
    int ends[2], status;
    must(pipe(ends) == 0, "pipe");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        figures = measure_size(agents, beside);
        must(write(ends[1], &figures, sizeof(figures)) == sizeof(figures), "write");
        _exit(0);
    }
    close(ends[1]);
    must(read(ends[0], &figures, sizeof(figures)) == sizeof(figures), "a measuring process");
    close(ends[0]);
    must(waitpid(child, &status, 0) == child && status == 0, "waitpid");
    return figures;
}

static struct figures measure_all(unsigned agents) {
    struct figures figures = measure_apart(agents, NOTHING), rollout = measure_apart(agents, ROLLOUT),
                   audience = measure_apart(agents, AUDIENCE);
    figures.rollout_flow = rollout.resolve_flow;
    figures.rollout_chain = rollout.resolve_chain;
    figures.rollout_write_flow = rollout.write_flow;
    figures.rollout_count_flow = rollout.count_flow;
    figures.audience_flow = audience.resolve_flow;
    figures.audience_chain = audience.resolve_chain;
    figures.allocations += rollout.allocations + audience.allocations;
    return figures;
}

/* ---- printing ---- */

static void print_json(const struct figures *figures, size_t count) {
    printf("[");
    for (size_t i = 0; i < count; i++) {
        const struct figures *f = figures + i;
        printf("%s{\"agents\":%u,\"resolve_flow_ns\":%.1f,\"resolve_chain_ns\":%.1f,\"write_flow_ns\":%.1f,"
               "\"write_chain_ns\":%.1f,\"peer_load_ns\":%.1f,\"peer_copy_ns\":%.1f,\"allocations\":%" PRIu64
               ",\"deploy_us\":%.1f,\"memory_ratio\":%.2f,\"rollout_flow_ns\":%.1f,\"rollout_chain_ns\":%.1f,"
               "\"rollout_write_flow_ns\":%.1f,\"audience_flow_ns\":%.1f,\"audience_chain_ns\":%.1f,\"count_flow_ns\":%"
               ".1f,"
               "\"count_write_flow_ns\":%.1f,\"rollout_count_flow_ns\":%.1f}",
               i ? "," : "", f->agents, f->resolve_flow, f->resolve_chain, f->write_flow, f->write_chain, f->load,
               f->copy, f->allocations, f->deploy_us, f->memory_ratio, f->rollout_flow, f->rollout_chain,
               f->rollout_write_flow, f->audience_flow, f->audience_chain, f->count_flow, f->count_write_flow,
               f->rollout_count_flow);
    }
    printf("]\n");
}

int main(void) {
    static const unsigned sizes[] = {10, 1000, 10000, 100000};
    struct figures figures[ARRAY_LEN(sizes)];
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        figures[i] = measure_all(sizes[i]);
    print_json(figures, ARRAY_LEN(sizes));
    return 0;
}
