/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look: what came of messages is noted in the store, all in one commit; then definitions and news are read, when the store's head has moved; then what is due is
 * begun. Everything in memory is a copy of the store's or can be lost: who starts anew reads the cursors and goes on.
 *
 * A hook is a webhook as it was defined by one change. Another definition or another secret makes another hook; the old one is gone, and freed when its message has
 * ended, of which nothing is noted any more: its row in the store belongs to the new definition.
 */
#include "notify/notify.h"

#include "base/failpoint.h"
#include "base/thread.h"
#include "notify/notify_impl.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#define SECOND INT64_C(1000000)
#define TIMEOUT_MS 15000
#define WAIT_MS_MAX 30000
#define TROUBLE_MS 1000
#define PAGE 32
#define HEADERS 4
#define ROLLOUT_ID_SIZE 65

enum phase { PHASE_IDLE, PHASE_SENDING, PHASE_ENDED };

/* What is posted, with everything that the request borrows. */
struct message {
    bool there;
    char id[MESSAGE_ID_SIZE], timestamp[24], rollout[ROLLOUT_ID_SIZE];
    int64_t seq;
    struct str body, signature;
    struct fetch_header headers[HEADERS];
};

struct hook {
    struct notifier *notifier;
    struct arena arena; /* of the texts of `webhook` */
    struct webhook webhook;
    uint32_t events;
    bool listed, gone;
    int64_t read; /* up to this seq of the store it has been asked for news */
    struct message message;
    enum phase phase;
    int64_t retry_after_s; /* that the answer asks for */
    int status;            /* of the answer; 0: none came, for this reason: */
    struct err why;
    struct webhook_delivery noted; /* to be written */
    char error[DELIVERY_ERROR_SIZE],
        rollout[ROLLOUT_ID_SIZE]; /* what webhook.delivery borrows once something was noted */
};

struct notifier {
    struct notifier_options options;
    struct fetch *fetch;
    struct position head;
    bool known; /* `head` is what was read */
    bool in_trouble;
    struct hook **hooks;
    size_t count, capacity;
    struct notifier_stats counted; /* the looking thread's own; shown after each look */

    pthread_t thread;
    bool running;
    _Atomic bool stopping;
    pthread_mutex_t lock; /* for what follows */
    struct notifier_stats stats;
};

/* ---- hooks ---- */

static struct hook *hook_free(struct hook *hook) {
    if (!hook) return NULL;
    str_deinit(&hook->message.body);
    str_deinit(&hook->message.signature);
    arena_deinit(&hook->arena);
    free(hook);
    return NULL;
}
DEFINE_CLEANUP(struct hook *, hook_free)

static bool copy_texts(struct hook *hook) {
    struct webhook *webhook = &hook->webhook;
    const char **texts[] = {
        &webhook->name,   &webhook->url,      &webhook->environment,    &webhook->agent,           &webhook->events,
        &webhook->secret, &webhook->previous, &webhook->delivery.error, &webhook->delivery.rollout};
    webhook->created_by = NULL;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!(*texts[i] = arena_strdup(&hook->arena, *texts[i]))) return false;
    return true;
}

static int read_events(struct hook *hook, struct err *err) {
    _cleanup_(json_decrefp) json_t *types = NULL;
    int r = json_parse(hook->webhook.events, strlen(hook->webhook.events), 2, &types, err);
    return r < 0 ? r : events_read(types, "", &hook->events, err);
}

static int make_room(struct notifier *notifier, struct err *err) {
    if (notifier->count < notifier->capacity) return 0;
    size_t capacity = notifier->capacity ? 2 * notifier->capacity : 16;
    struct hook **grown = realloc(notifier->hooks, capacity * sizeof(struct hook *));
    if (!grown) return err_no_memory(err);
    notifier->hooks = grown;
    notifier->capacity = capacity;
    return 0;
}

static int hook_add(struct notifier *notifier, const struct webhook *webhook, struct err *err) {
    _cleanup_(hook_freep) struct hook *hook = calloc(1, sizeof(*hook));
    int r = hook ? make_room(notifier, err) : err_no_memory(err);
    if (r < 0) return r;
    hook->notifier = notifier;
    hook->webhook = *webhook;
    hook->listed = true;
    if (!copy_texts(hook)) return err_no_memory(err);
    r = read_events(hook, err);
    if (r < 0) return r;
    notifier->hooks[notifier->count++] = TAKE_PTR(hook);
    return 0;
}

static struct hook *find(const struct notifier *notifier, const struct webhook *webhook) {
    for (size_t i = 0; i < notifier->count; i++) {
        struct hook *hook = notifier->hooks[i];
        if (!hook->gone && hook->webhook.seq == webhook->seq && hook->webhook.secret_seq == webhook->secret_seq &&
            !strcmp(hook->webhook.name, webhook->name))
            return hook;
    }
    return NULL;
}

/* Those that are gone and have nothing under way. */
static void drop_gone(struct notifier *notifier) {
    size_t kept = 0;
    for (size_t i = 0; i < notifier->count; i++) {
        struct hook *hook = notifier->hooks[i];
        if (hook->gone && hook->phase != PHASE_SENDING)
            hook_free(hook);
        else
            notifier->hooks[kept++] = hook;
    }
    notifier->count = kept;
}

/* ---- noting what came of messages ---- */

static void conclude(struct hook *hook, int64_t now) {
    struct attempt attempt = {
        .status = hook->status, .why = hook->why.message, .retry_after_s = hook->retry_after_s, .now = now};
    if (random_bytes(&attempt.chance, sizeof(attempt.chance), NULL) < 0) attempt.chance = (uint64_t)now;
    hook->noted = hook->webhook.delivery;
    if (attempt_delivered(&attempt)) {
        hook->noted.delivered = hook->message.seq;
        hook->noted.rollout = hook->message.rollout;
    }
    delivery_note(&hook->noted, &attempt, hook->error);
}

static int write_notes(void *arg, struct store_tx *tx, struct err *err) {
    const struct notifier *notifier = arg;
    int r = 0;
    for (size_t i = 0; r >= 0 && i < notifier->count; i++) {
        const struct hook *hook = notifier->hooks[i];
        if (hook->phase != PHASE_ENDED || hook->gone) continue;
        r = store_webhook_delivery_put(tx, hook->webhook.name, &hook->noted, err);
    }
    return r < 0 ? r : 0;
}

static void tell_log(const struct hook *hook, bool failed_before) {
    const struct log *log = hook->notifier->options.ops->log;
    const char *name = hook->webhook.name;
    if (hook->noted.disabled_at)
        log_write(log, LOG_WEBHOOK_DISABLED, "a webhook is disabled", "webhook", name, "error", hook->noted.error,
                  NULL);
    else if (hook->noted.attempts == 1)
        log_write(log, LOG_WEBHOOK_FAILING, "a webhook fails", "webhook", name, "error", hook->noted.error, NULL);
    else if (!hook->noted.attempts && failed_before)
        log_write(log, LOG_WEBHOOK_RECOVERED, "a webhook takes messages again", "webhook", name, NULL);
}

static void take_note(struct hook *hook) {
    struct notifier_stats *counted = &hook->notifier->counted;
    bool failed_before = hook->webhook.delivery.attempts > 0, delivered = !hook->noted.attempts;
    counted->delivered += delivered;
    counted->failed += !delivered;
    tell_log(hook, failed_before);
    hook->webhook.delivery = hook->noted;
    if (delivered) {
        memcpy(hook->rollout, hook->message.rollout, sizeof(hook->rollout));
        hook->webhook.delivery.rollout = hook->rollout;
    }
    hook->phase = PHASE_IDLE;
    hook->message.there = !delivered;
}

static int settle(struct notifier *notifier, struct err *err) {
    int64_t now = clock_wall(notifier->options.ops->clock);
    size_t ended = 0;
    for (size_t i = 0; i < notifier->count; i++) {
        struct hook *hook = notifier->hooks[i];
        if (hook->phase != PHASE_ENDED || hook->gone) continue;
        conclude(hook, now);
        ended++;
    }
    if (!ended) return 0;
    FAILPOINT(webhook_answered);
    int r = store_record(notifier->options.ops->store, write_notes, notifier, err);
    if (r < 0) return r;
    FAILPOINT(webhook_noted);
    for (size_t i = 0; i < notifier->count; i++)
        if (notifier->hooks[i]->phase == PHASE_ENDED && !notifier->hooks[i]->gone) take_note(notifier->hooks[i]);
    return 0;
}

/* ---- reading the store ---- */

struct reading {
    struct notifier *notifier;
    struct arena arena;
    struct position head;
};

static int read_definitions(struct reading *reading, struct store_tx *tx, struct err *err) {
    struct notifier *notifier = reading->notifier;
    struct webhook *webhooks;
    size_t count;
    int r = store_webhooks(tx, &reading->arena, &webhooks, &count, err);
    if (r < 0) return r;
    for (size_t i = 0; i < notifier->count; i++)
        notifier->hooks[i]->listed = false;
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct hook *hook = find(notifier, &webhooks[i]);
        if (hook)
            hook->listed = true;
        else
            r = hook_add(notifier, &webhooks[i], err);
    }
    for (size_t i = 0; r == 0 && i < notifier->count; i++)
        notifier->hooks[i]->gone |= !notifier->hooks[i]->listed;
    return r;
}

static int make_message(struct hook *hook, const struct store_told_move *told, enum rollout_event event,
                        struct err *err) {
    struct message *message = &hook->message;
    if (strlen(told->move.rollout) >= sizeof(message->rollout))
        return err_set(err, ERR_STORE_CORRUPT, "the id of a rollout is too long");
    snprintf(message->rollout, sizeof(message->rollout), "%s", told->move.rollout);
    message->seq = told->move.seq;
    message_id(told, message->id);
    str_clear(&message->body);
    message_body(told, event, &message->body);
    if (message->body.failed) return err_no_memory(err);
    message->there = true;
    return 0;
}

/* The next move behind the cursor that it is to be told of. */
static int read_news(struct reading *reading, struct store_tx *tx, struct hook *hook, struct err *err) {
    const struct webhook *webhook = &hook->webhook;
    struct store_told_query query = {webhook->environment, webhook->agent, webhook->delivery.delivered,
                                     webhook->delivery.rollout, PAGE};
    size_t count;
    do {
        struct store_told_move *told;
        int r = store_told_moves(tx, &query, &reading->arena, &told, &count, err);
        if (r < 0) return r;
        for (size_t i = 0; i < count; i++) {
            enum rollout_event event;
            query.after = told[i].move.seq;
            query.after_rollout = told[i].move.rollout;
            if (rollout_event_of(&told[i].move, &event) && hook->events >> event & 1)
                return make_message(hook, &told[i], event, err);
        }
    } while (count == PAGE);
    hook->read = reading->head.seq;
    return 0;
}

static bool wants_news(const struct hook *hook, const struct reading *reading) {
    return !hook->gone && !hook->message.there && !hook->webhook.delivery.disabled_at &&
           hook->read != reading->head.seq;
}

static int read_in_tx(void *arg, struct store_tx *tx, struct err *err) {
    struct reading *reading = arg;
    struct notifier *notifier = reading->notifier;
    int64_t at;
    int r = store_head(tx, &reading->head, &at, err);
    if (r < 0) return r;
    if (!notifier->known || position_compare(notifier->head, reading->head) != 0)
        r = read_definitions(reading, tx, err);
    for (size_t i = 0; r == 0 && i < notifier->count; i++)
        if (wants_news(notifier->hooks[i], reading)) r = read_news(reading, tx, notifier->hooks[i], err);
    return r;
}

static int read_store(struct notifier *notifier, struct err *err) {
    struct reading reading = {.notifier = notifier};
    int r = store_read(notifier->options.ops->store, read_in_tx, &reading, err);
    arena_deinit(&reading.arena);
    notifier->known = r == 0;
    if (r == 0) notifier->head = reading.head;
    return r;
}

/* ---- posting ---- */

/* What the end of the program broke off did not fail. */
static void ended(void *ctx, int result, struct fetch_answer *answer, const struct err *err) {
    struct hook *hook = ctx;
    bool broken_off = result < 0 && !answer->status && atomic_load(&hook->notifier->stopping);
    hook->status = answer->status;
    hook->retry_after_s = answer->retry_after_s;
    if (result < 0) hook->why = *err;
    hook->phase = broken_off ? PHASE_IDLE : PHASE_ENDED;
}

/* What a receiver answers beside its status is nobody's concern. */
static int pass_over(void *ctx, const char *bytes, size_t len) {
    return 0;
}

static int sign(struct hook *hook, int64_t now, struct err *err) {
    struct message *message = &hook->message;
    str_clear(&message->signature);
    int r = message_sign(&hook->webhook, message->id, now, str_slice(&message->body), &message->signature, err);
    if (r < 0) return r;
    if (message->signature.failed) return err_no_memory(err);
    snprintf(message->timestamp, sizeof(message->timestamp), "%lld", (long long)(now / SECOND));
    message->headers[0] = (struct fetch_header){"Content-Type", "application/json"};
    message->headers[1] = (struct fetch_header){"webhook-id", message->id};
    message->headers[2] = (struct fetch_header){"webhook-timestamp", message->timestamp};
    message->headers[3] = (struct fetch_header){"webhook-signature", message->signature.data};
    return 0;
}

static int send_over_network(void *ctx, const struct fetch_request *request, fetch_done *done, void *done_ctx,
                             struct err *err) {
    return fetch_begin(ctx, request, done, done_ctx, err);
}

/* What cannot even begin (its origin is not listed any more) has failed like any other. */
static void post(struct hook *hook, int64_t now) {
    const struct notifier_options *options = &hook->notifier->options;
    struct err err = ERR_INIT;
    int r = sign(hook, now, &err);
    struct fetch_request request = {
        .method = "POST",
        .url = hook->webhook.url,
        .headers = hook->message.headers,
        .header_count = HEADERS,
        .body = str_slice(&hook->message.body),
        .timeout_ms = TIMEOUT_MS,
        .data = pass_over,
    };
    hook->phase = PHASE_SENDING;
    if (r == 0) r = options->send(options->send_ctx, &request, ended, hook, &err);
    if (r < 0) ended(hook, r, &(struct fetch_answer){0}, &err);
}

static bool waits(const struct hook *hook) {
    return hook->phase == PHASE_IDLE && hook->message.there && !hook->webhook.delivery.disabled_at;
}

static void post_due(struct notifier *notifier, int64_t now) {
    for (size_t i = 0; i < notifier->count; i++) {
        struct hook *hook = notifier->hooks[i];
        if (waits(hook) && delivery_due(&hook->webhook.delivery, now)) post(hook, now);
    }
}

/* ---- a look ---- */

static int wait_after(const struct notifier *notifier, int64_t now) {
    int64_t wait = WAIT_MS_MAX;
    for (size_t i = 0; i < notifier->count; i++) {
        const struct hook *hook = notifier->hooks[i];
        if (hook->phase == PHASE_ENDED) return 0; /* it could not begin, which is to be noted */
        int64_t left = (hook->webhook.delivery.next_at - now + 999) / 1000;
        if (waits(hook) && left < wait) wait = left;
    }
    return wait < 0 ? 0 : (int)wait;
}

static void show_stats(struct notifier *notifier) {
    uint64_t failing = 0;
    for (size_t i = 0; i < notifier->count; i++)
        failing += !notifier->hooks[i]->gone && notifier->hooks[i]->webhook.delivery.attempts > 0;
    notifier->counted.failing = failing;
    pthread_mutex_lock(&notifier->lock);
    notifier->stats = notifier->counted;
    pthread_mutex_unlock(&notifier->lock);
}

int notifier_look(struct notifier *notifier, int *ret_wait_ms, struct err *err) {
    *ret_wait_ms = TROUBLE_MS;
    int r = settle(notifier, err);
    if (r == 0) r = read_store(notifier, err);
    drop_gone(notifier);
    show_stats(notifier);
    if (r < 0) return r;
    int64_t now = clock_wall(notifier->options.ops->clock);
    post_due(notifier, now);
    *ret_wait_ms = wait_after(notifier, now);
    return 0;
}

/* ---- life ---- */

int notifier_new(const struct notifier_options *options, struct notifier **ret, struct err *err) {
    struct notifier *notifier = calloc(1, sizeof(*notifier));
    if (!notifier) return err_no_memory(err);
    pthread_mutex_init(&notifier->lock, NULL);
    notifier->options = *options;
    struct fetch_options fetch = {.allow = options->ops->outgoing};
    int r = fetch_new(&fetch, &notifier->fetch, err);
    if (r < 0) {
        notifier_free(notifier);
        return r;
    }
    if (!options->send) {
        notifier->options.send = send_over_network;
        notifier->options.send_ctx = notifier->fetch;
    }
    *ret = notifier;
    return 0;
}

/* A store that is away says so elsewhere. Other trouble is told once until it is over. */
static void tell_trouble(struct notifier *notifier, int r, const struct err *err) {
    bool trouble = r < 0 && r != -ERR_STORE_UNAVAILABLE;
    if (trouble && !notifier->in_trouble) log_err(notifier->options.ops->log, LOG_WEBHOOKS_STUCK, err);
    notifier->in_trouble = trouble;
}

static void work(struct notifier *notifier) {
    struct err err = ERR_INIT;
    int wait_ms, r = notifier_look(notifier, &wait_ms, &err);
    int ran = fetch_run(notifier->fetch, wait_ms, r < 0 ? NULL : &err);
    if (ran < 0) (void)poll(NULL, 0, TROUBLE_MS); /* it could not wait either */
    tell_trouble(notifier, r < 0 ? r : ran, &err);
}

/* At the end, what was answered meanwhile is noted: it need not be posted again. */
static void *turn(void *ctx) {
    struct notifier *notifier = ctx;
    struct err err = ERR_INIT;
    thread_give_way();
    while (!atomic_load(&notifier->stopping))
        work(notifier);
    (void)!settle(notifier, &err);
    return NULL;
}

int notifier_start(struct notifier *notifier, struct err *err) {
    int r = pthread_create(&notifier->thread, NULL, turn, notifier);
    if (r) return err_set_errno(err, ERR_UNAVAILABLE, r, "the notifier's thread cannot be made");
    notifier->running = true;
    return 0;
}

void notifier_wake(struct notifier *notifier) {
    fetch_wake(notifier->fetch);
}

static void stop(struct notifier *notifier) {
    atomic_store(&notifier->stopping, true);
    fetch_stop(notifier->fetch);
    pthread_join(notifier->thread, NULL);
}

struct notifier *notifier_free(struct notifier *notifier) {
    if (!notifier) return NULL;
    if (notifier->running) stop(notifier);
    fetch_free(notifier->fetch);
    for (size_t i = 0; i < notifier->count; i++)
        hook_free(notifier->hooks[i]);
    free(notifier->hooks);
    pthread_mutex_destroy(&notifier->lock);
    free(notifier);
    return NULL;
}

void notifier_stats(struct notifier *notifier, struct notifier_stats *ret) {
    pthread_mutex_lock(&notifier->lock);
    *ret = notifier->stats;
    pthread_mutex_unlock(&notifier->lock);
}
