/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query stands in one bucket of a hash table, for who looks, and in one queue, for the thread that asks: in order of when it is due, which is the order in
 * which queries were answered, because all have the same interval. While it is under way it stands in no queue. New ones go to the front.
 *
 * One lock for all of it, held for moments; never while a request is waited for. At most so many queries are under way in all and so many to one
 * server, so that one that does not answer takes few of the places.
 */
#include "controller/guards.h"

#include "base/hash.h"
#include "controller/prometheus.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define QUERY_BUCKETS 1024
#define AT_ONCE 64
#define AT_ONCE_PER_SERVER 8
#define ANSWER_MAX (256 * 1024)
#define FORGET_AFTER (INT64_C(60) * 1000000)
#define LONGEST_WAIT_MS 1000

/* What one condition makes of the query's answers. */
struct watch {
    struct watch *next;
    enum guard_compare compare;
    double threshold;
    struct guard_seen seen;
    int64_t looked_at;
};

struct query {
    struct query *next;   /* in the bucket */
    struct query *queued; /* the one behind it in the queue */
    struct guards *guards;
    char *name, *url, *text; /* of the guard that came first; its server and query */
    struct str address;      /* of the request */
    struct watch *watches;
    int64_t due, looked_at, answered_at; /* monotonic; answered_at 0: never */
    bool silent;                         /* the log has said so */
    char why[GUARD_WHY_SIZE];
};

struct guards {
    struct guards_options options;
    struct fetch *fetch;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* for what follows */
    bool stopping;
    struct query *buckets[QUERY_BUCKETS];
    struct query *first, **last; /* the queue */
    struct query *under_way[AT_ONCE];
    size_t under_way_count;
    struct guards_stats stats;
};

/* ---- queries ---- */

static struct query *query_free(struct query *query) {
    if (!query) return NULL;
    while (query->watches) {
        struct watch *next = query->watches->next;
        free(query->watches);
        query->watches = next;
    }
    str_deinit(&query->address);
    free(query->name);
    free(query->url);
    free(query->text);
    free(query);
    return NULL;
}
DEFINE_CLEANUP(struct query *, query_free)

static struct query **bucket_of(struct guards *guards, const char *url, const char *text) {
    uint32_t hash = murmur3_32(text, strlen(text), murmur3_32(url, strlen(url), 0));
    return &guards->buckets[hash % QUERY_BUCKETS];
}

static void add_encoded(struct str *out, const char *text) {
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c);
        if (plain)
            str_add_char(out, (char)c);
        else
            str_printf(out, "%%%c%c", digits[c >> 4], digits[c & 15]);
    }
}

static void make_address(struct query *query) {
    size_t len = strlen(query->url);
    str_add(&query->address, query->url, len && query->url[len - 1] == '/' ? len - 1 : len);
    str_add_text(&query->address, "/api/v1/query?query=");
    add_encoded(&query->address, query->text);
}

static struct query *query_new(struct guards *guards, const struct guard *guard) {
    _cleanup_(query_freep) struct query *query = calloc(1, sizeof(*query));
    if (!query) return NULL;
    query->guards = guards;
    query->name = strdup(guard->name);
    query->url = strdup(guard->url);
    query->text = strdup(guard->query);
    if (!query->name || !query->url || !query->text) return NULL;
    make_address(query);
    if (query->address.failed) return NULL;
    (void)snprintf(query->why, sizeof(query->why), "the server was not asked yet");
    return TAKE_PTR(query);
}

static void enqueue(struct guards *guards, struct query *query, int64_t due) {
    query->due = due;
    query->queued = NULL;
    *guards->last = query;
    guards->last = &query->queued;
}

static void enqueue_first(struct guards *guards, struct query *query) {
    query->due = 0;
    query->queued = guards->first;
    guards->first = query;
    if (!query->queued) guards->last = &query->queued;
}

static void dequeue(struct guards *guards, struct query **at) {
    struct query *query = *at;
    *at = query->queued;
    if (!query->queued) guards->last = at;
    query->queued = NULL;
}

static void forget(struct guards *guards, struct query *query) {
    struct query **at = bucket_of(guards, query->url, query->text);
    while (*at != query)
        at = &(*at)->next;
    *at = query->next;
    query_free(query);
}

/* ---- what is known ---- */

static int64_t every(const struct guards *guards) {
    return guards->options.every_ms * 1000;
}

static void set_state(struct watch *watch, enum guard_state state, double value, int64_t wall) {
    if (watch->seen.state != state) watch->seen.since = wall;
    watch->seen.state = state;
    watch->seen.value = value;
}

static void tell_silent(struct query *query) {
    if (query->silent) return;
    query->silent = true;
    log_write(query->guards->options.log, LOG_GUARD_SILENT, query->why, "guard", query->name, "server", query->url,
              NULL);
}

static void tell_answers(struct query *query) {
    query->why[0] = '\0';
    if (!query->silent) return;
    query->silent = false;
    log_write(query->guards->options.log, LOG_GUARD_ANSWERS, "the guard's query gives numbers again", "guard",
              query->name, "server", query->url, NULL);
}

/* Without an answer a state stands only for so long. */
static void let_expire(struct query *query) {
    const struct guards *guards = query->guards;
    const struct clock *clock = guards->options.clock;
    if (query->answered_at && clock_monotonic(clock) - query->answered_at <= 3 * every(guards)) return;
    for (struct watch *watch = query->watches; watch; watch = watch->next)
        set_state(watch, GUARD_UNKNOWN, NAN, clock_wall(clock));
    if (query->answered_at && !query->why[0])
        (void)snprintf(query->why, sizeof(query->why), "the server has not answered for long");
    if (query->answered_at) tell_silent(query);
}

static void note_failure(struct query *query, const struct err *err) {
    query->guards->stats.failures++;
    (void)snprintf(query->why, sizeof(query->why), "%.*s", GUARD_WHY_SIZE - 1, err->message);
    let_expire(query);
    if (!query->answered_at) tell_silent(query);
}

static void note_values(struct query *query, const struct prometheus_values *values) {
    const struct clock *clock = query->guards->options.clock;
    bool known = true;
    query->answered_at = clock_monotonic(clock);
    for (struct watch *watch = query->watches; watch; watch = watch->next) {
        const struct guard guard = {.compare = watch->compare, .threshold = watch->threshold};
        double value;
        enum guard_state state = guard_judge(&guard, values, &value);
        set_state(watch, state, value, clock_wall(clock));
        known = known && state != GUARD_UNKNOWN;
    }
    if (known) {
        tell_answers(query);
        return;
    }
    (void)snprintf(query->why, sizeof(query->why), "the query gives %s",
                   values->count ? "NaN, which is no number" : "no series");
    tell_silent(query);
}

/* ---- who looks ---- */

static struct query *find_query(struct guards *guards, const struct guard *guard, bool *ret_made) {
    struct query **bucket = bucket_of(guards, guard->url, guard->query), *query = *bucket;
    while (query && (strcmp(query->url, guard->url) != 0 || strcmp(query->text, guard->query) != 0))
        query = query->next;
    if (query) return query;
    query = query_new(guards, guard);
    if (!query) return NULL;
    query->next = *bucket;
    *bucket = query;
    enqueue_first(guards, query);
    *ret_made = true;
    return query;
}

/* A condition that joins a query is known from its next answer on. */
static struct watch *find_watch(struct query *query, const struct guard *guard) {
    struct watch *watch = query->watches;
    while (watch && (watch->compare != guard->compare || watch->threshold != guard->threshold))
        watch = watch->next;
    if (watch) return watch;
    watch = calloc(1, sizeof(*watch));
    if (!watch) return NULL;
    watch->compare = guard->compare;
    watch->threshold = guard->threshold;
    watch->seen = (struct guard_seen){.since = clock_wall(query->guards->options.clock), .value = NAN};
    watch->next = query->watches;
    query->watches = watch;
    return watch;
}

static void look_at(struct guards *guards, const struct guard *guard, struct guard_told *ret, bool *ret_made) {
    struct query *query = find_query(guards, guard, ret_made);
    struct watch *watch = query ? find_watch(query, guard) : NULL;
    *ret = (struct guard_told){.seen.value = NAN};
    if (!watch) {
        (void)snprintf(ret->why, sizeof(ret->why), "memory has run out");
        return;
    }
    query->looked_at = watch->looked_at = clock_monotonic(guards->options.clock);
    let_expire(query);
    ret->seen = watch->seen;
    if (watch->seen.state == GUARD_UNKNOWN) memcpy(ret->why, query->why, sizeof(ret->why));
}

static void look(void *ctx, const struct guard *asked, size_t count, struct guard_told *ret) {
    struct guards *guards = ctx;
    bool made = false;
    pthread_mutex_lock(&guards->lock);
    for (size_t i = 0; i < count; i++)
        look_at(guards, &asked[i], &ret[i], &made);
    pthread_mutex_unlock(&guards->lock);
    if (made) fetch_wake(guards->fetch);
}

struct guard_source guards_source(struct guards *guards) {
    return (struct guard_source){.look = look, .ctx = guards};
}

void guards_stats(struct guards *guards, struct guards_stats *ret) {
    pthread_mutex_lock(&guards->lock);
    *ret = guards->stats;
    pthread_mutex_unlock(&guards->lock);
}

/* ---- who asks ---- */

static bool server_is_busy(const struct guards *guards, const char *url) {
    size_t count = 0;
    for (size_t i = 0; i < guards->under_way_count; i++)
        count += !strcmp(guards->under_way[i]->url, url);
    return count >= AT_ONCE_PER_SERVER;
}

/* Back into the queue, for the next time. */
static void came_back(struct guards *guards, struct query *query) {
    size_t i = 0;
    while (guards->under_way[i] != query)
        i++;
    guards->under_way[i] = guards->under_way[--guards->under_way_count];
    enqueue(guards, query, clock_monotonic(guards->options.clock) + every(guards));
}

static void answered(void *ctx, int result, struct fetch_answer *answer, const struct err *err) {
    struct query *query = ctx;
    struct guards *guards = query->guards;
    struct prometheus_values values = {0};
    struct err why = *err;
    if (result == 0) result = prometheus_read(answer->status, str_slice(&answer->body), &values, &why);
    pthread_mutex_lock(&guards->lock);
    came_back(guards, query);
    if (result == 0)
        note_values(query, &values);
    else if (!guards->stopping)
        note_failure(query, &why);
    pthread_mutex_unlock(&guards->lock);
    prometheus_values_deinit(&values);
}

static void ask(struct guards *guards, struct query *query) {
    static const struct fetch_header accept = {"Accept", "application/json"};
    struct err err = ERR_INIT;
    const struct fetch_request request = {
        .method = "GET",
        .url = query->address.data,
        .headers = &accept,
        .header_count = 1,
        .timeout_ms = guards->options.every_ms * 4 / 5,
        .answer_max = ANSWER_MAX,
    };
    guards->under_way[guards->under_way_count++] = query;
    guards->stats.queries++;
    if (fetch_begin(guards->fetch, &request, answered, query, &err) == 0) return;
    came_back(guards, query);
    note_failure(query, &err);
}

static void forget_watches(struct query *query, int64_t now) {
    for (struct watch **at = &query->watches; *at;) {
        struct watch *watch = *at;
        if (now - watch->looked_at <= FORGET_AFTER) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        free(watch);
    }
}

static void ask_due(struct guards *guards) {
    int64_t now = clock_monotonic(guards->options.clock);
    for (struct query **at = &guards->first; *at && (*at)->due <= now && guards->under_way_count < AT_ONCE;) {
        struct query *query = *at;
        bool wanted = now - query->looked_at <= FORGET_AFTER;
        if (wanted && server_is_busy(guards, query->url)) {
            at = &query->queued;
            continue;
        }
        dequeue(guards, at);
        forget_watches(query, now);
        if (wanted)
            ask(guards, query);
        else
            forget(guards, query);
    }
}

/* Until the next query is due. One that is due already waits for a place, and with that for what ends fetch_run() anyway. */
static int wait_ms(const struct guards *guards) {
    int64_t left = guards->first ? guards->first->due - clock_monotonic(guards->options.clock) : 0;
    return left > 0 && left < LONGEST_WAIT_MS * INT64_C(1000) ? (int)(left / 1000) + 1 : LONGEST_WAIT_MS;
}

/* Asks what is due; false at the end. */
static bool next_turn(struct guards *guards, int *ret_wait_ms) {
    pthread_mutex_lock(&guards->lock);
    bool goes_on = !guards->stopping;
    if (goes_on) ask_due(guards);
    *ret_wait_ms = wait_ms(guards);
    pthread_mutex_unlock(&guards->lock);
    return goes_on;
}

static void *turn(void *ctx) {
    static const struct timespec pause = {.tv_nsec = 100000000};
    struct guards *guards = ctx;
    for (int wait; next_turn(guards, &wait);) {
        struct err err = ERR_INIT;
        if (fetch_run(guards->fetch, wait, &err) < 0) nanosleep(&pause, NULL); /* memory ran out, for one */
    }
    return NULL;
}

/* ---- life ---- */

int guards_new(const struct guards_options *options, struct guards **ret, struct err *err) {
    struct guards *guards = calloc(1, sizeof(*guards));
    if (!guards) return err_no_memory(err);
    const struct fetch_options fetch = {.allow = options->allow};
    guards->options = *options;
    if (!guards->options.every_ms) guards->options.every_ms = GUARDS_EVERY_MS;
    guards->last = &guards->first;
    pthread_mutex_init(&guards->lock, NULL);
    int r = fetch_new(&fetch, &guards->fetch, err);
    if (r < 0)
        guards_free(guards);
    else
        *ret = guards;
    return r;
}

int guards_start(struct guards *guards, struct err *err) {
    int r = pthread_create(&guards->thread, NULL, turn, guards);
    if (r) return err_set_errno(err, ERR_UNAVAILABLE, r, "the thread that asks for guards cannot be made");
    guards->running = true;
    return 0;
}

static void stop(struct guards *guards) {
    pthread_mutex_lock(&guards->lock);
    guards->stopping = true;
    pthread_mutex_unlock(&guards->lock);
    fetch_stop(guards->fetch);
    if (guards->running) pthread_join(guards->thread, NULL);
}

struct guards *guards_free(struct guards *guards) {
    if (!guards) return NULL;
    if (guards->fetch) stop(guards);
    fetch_free(guards->fetch);
    for (size_t i = 0; i < QUERY_BUCKETS; i++)
        while (guards->buckets[i]) {
            struct query *next = guards->buckets[i]->next;
            query_free(guards->buckets[i]);
            guards->buckets[i] = next;
        }
    pthread_mutex_destroy(&guards->lock);
    free(guards);
    return NULL;
}
