/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers that never rest beside a publisher that never rests. Run it under ASan for memory used after its end, and under TSan for
 * what only luck put in order. free() is watched, so that the test knows when a snapshot really goes.
 */
#include "snapshot/publisher.h"
#include "snapshot/test_world.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- watching free() ---- */

void __real_free(void *bytes);
void __wrap_free(void *bytes);

static void *_Atomic watched;
static atomic_size_t watched_frees;

void __wrap_free(void *bytes) {
    if (bytes && bytes == atomic_load_explicit(&watched, memory_order_relaxed))
        atomic_fetch_add_explicit(&watched_frees, 1, memory_order_relaxed);
    __real_free(bytes);
}

static void watch(const struct snapshot *snapshot) {
    atomic_store(&watched_frees, 0);
    atomic_store(&watched, (void *)(uintptr_t)snapshot);
}

static size_t frees(void) {
    return atomic_load(&watched_frees);
}

static struct snapshot *at_seq(struct snapshot *base, int64_t seq) {
    const struct test_entry entries[] = {
        {.agent = "first", .environment = "production", .version = seq, .seq = seq},
        {.agent = "second", .environment = "production", .version = seq + 1, .seq = seq},
    };
    return test_snapshot(base, entries, 2);
}

static struct publisher *publisher_at(int64_t seq) {
    struct publisher *publisher;
    assert_int_equal(publisher_new(&publisher), 0);
    struct snapshot *empty = publisher_get(publisher);
    publisher_publish(publisher, at_seq(empty, seq));
    snapshot_unref(empty);
    return publisher;
}

static int64_t seq_now(struct publisher *publisher) {
    struct publisher_borrow borrow = publisher_borrow(publisher);
    int64_t seq = snapshot_position(borrow.snapshot).seq;
    publisher_return(publisher, borrow);
    return seq;
}

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* ---- alone ---- */

static void test_starts_empty(void **state) {
    struct publisher *publisher;
    assert_int_equal(publisher_new(&publisher), 0);
    struct publisher_borrow borrow = publisher_borrow(publisher);
    assert_non_null(borrow.snapshot);
    assert_int_equal(snapshot_position(borrow.snapshot).seq, 0);
    assert_int_equal(snapshot_entry_count(borrow.snapshot), 0);
    publisher_return(publisher, borrow);
    assert_null(publisher_free(publisher));
    assert_null(publisher_free(NULL));
}

static void test_visible_when_published(void **state) {
    struct publisher *publisher = publisher_at(5);
    for (int64_t seq = 6; seq < 40; seq++) {
        struct snapshot *base = publisher_get(publisher);
        publisher_publish(publisher, at_seq(base, seq));
        snapshot_unref(base);
        assert_int_equal(seq_now(publisher), seq);
    }
    publisher_free(publisher);
}

static void test_old_one_is_freed_once(void **state) {
    struct publisher *publisher = publisher_at(5);
    for (int64_t seq = 6; seq < 40; seq++) {
        struct snapshot *base = publisher_get(publisher);
        struct snapshot *next = at_seq(base, seq);
        watch(base);
        snapshot_unref(base);
        assert_int_equal(frees(), 0);
        publisher_publish(publisher, next);
        assert_int_equal(frees(), 1);
    }
    struct snapshot *last = publisher_get(publisher);
    snapshot_unref(last);
    watch(last);
    publisher_free(publisher);
    assert_int_equal(frees(), 1);
    watch(NULL);
}

static void test_get_outlives(void **state) {
    struct publisher *publisher = publisher_at(5);
    struct snapshot *kept = publisher_get(publisher);
    watch(kept);
    publisher_publish(publisher, at_seq(kept, 6));
    publisher_publish(publisher, at_seq(kept, 7));
    assert_int_equal(frees(), 0);
    assert_int_equal(snapshot_position(kept).seq, 5);
    assert_non_null(snapshot_find(kept, SLICE_LIT("production"), SLICE_LIT("first")));
    publisher_free(publisher);
    assert_int_equal(frees(), 0);
    snapshot_unref(kept);
    assert_int_equal(frees(), 1);
    watch(NULL);
}

/* Borrows may lie inside one another, and come back in any order. */
static void test_borrows_nest(void **state) {
    struct publisher *publisher = publisher_at(5);
    struct publisher_borrow borrows[10];
    for (size_t i = 0; i < ARRAY_LEN(borrows); i++)
        borrows[i] = publisher_borrow(publisher);
    for (size_t i = 0; i < ARRAY_LEN(borrows); i++)
        publisher_return(publisher, borrows[(i * 3 + 1) % ARRAY_LEN(borrows)]);
    struct snapshot *base = publisher_get(publisher);
    publisher_publish(publisher, at_seq(base, 6)); /* hangs when a borrow was not counted back */
    snapshot_unref(base);
    publisher_free(publisher);
}

/* ---- one that waits ---- */

struct waiting {
    struct publisher *publisher;
    struct snapshot *next;
    atomic_bool published;
};

static void *publish_thread(void *arg) {
    struct waiting *waiting = arg;
    publisher_publish(waiting->publisher, waiting->next);
    atomic_store(&waiting->published, true);
    return NULL;
}

struct lending {
    struct publisher *publisher;
    struct publisher_borrow borrow;
};

static void *borrow_thread(void *arg) {
    struct lending *lending = arg;
    lending->borrow = publisher_borrow(lending->publisher);
    return NULL;
}

/* The publisher waits for the reader of the old one; new readers see the new one meanwhile and do not hold it up. */
static void test_waits_for_readers(void **state) {
    struct publisher *publisher = publisher_at(5);
    for (int64_t seq = 6; seq < 16; seq++) { /* both phases, several times */
        struct snapshot *base = publisher_get(publisher);
        struct waiting waiting = {publisher, at_seq(base, seq), false};
        snapshot_unref(base);
        struct publisher_borrow old = publisher_borrow(publisher);
        watch(old.snapshot);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, publish_thread, &waiting), 0);
        while (seq_now(publisher) != seq)
            sched_yield();
        struct publisher_borrow young = publisher_borrow(publisher);
        nap();
        assert_false(atomic_load(&waiting.published));
        assert_int_equal(frees(), 0);
        assert_int_equal(snapshot_position(old.snapshot).seq, seq - 1);
        assert_int_equal(snapshot_position(young.snapshot).seq, seq);
        publisher_return(publisher, old);
        publisher_return(publisher, young);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(frees(), 1);
    }
    watch(NULL);
    publisher_free(publisher);
}

/* What one thread borrowed another may give back: the borrow knows its counter. */
static void test_returned_elsewhere(void **state) {
    struct publisher *publisher = publisher_at(5);
    struct snapshot *base = publisher_get(publisher);
    for (int i = 0; i < 20; i++) {
        struct lending lending = {.publisher = publisher};
        struct waiting waiting = {publisher, at_seq(base, 6 + i), false};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, borrow_thread, &lending), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(pthread_create(&thread, NULL, publish_thread, &waiting), 0);
        publisher_return(publisher, lending.borrow);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    snapshot_unref(base);
    publisher_free(publisher);
}

/* ---- one that never lets go ---- */

struct relay {
    struct publisher *publisher;
    atomic_bool over;
    atomic_size_t steps;
};

/* Hand over hand: the next borrow begins before the last one ends, so there is no moment without one. */
static void *relay_thread(void *arg) {
    struct relay *relay = arg;
    struct publisher_borrow held = publisher_borrow(relay->publisher);
    while (!atomic_load(&relay->over)) {
        struct publisher_borrow next = publisher_borrow(relay->publisher);
        publisher_return(relay->publisher, held);
        held = next;
        atomic_fetch_add(&relay->steps, 1);
    }
    publisher_return(relay->publisher, held);
    return NULL;
}

/* New readers, however many, cannot keep the publisher waiting for ever. */
static void test_new_readers_do_not_delay(void **state) {
    struct relay relay = {.publisher = publisher_at(5)};
    struct snapshot *base = publisher_get(relay.publisher);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, relay_thread, &relay), 0);
    while (atomic_load(&relay.steps) == 0)
        sched_yield();
    for (int64_t seq = 6; seq < 26; seq++)
        publisher_publish(relay.publisher, at_seq(base, seq)); /* hangs when nothing ever drains */
    atomic_store(&relay.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    snapshot_unref(base);
    publisher_free(relay.publisher);
}

/* ---- the hammer ---- */

enum { READERS = 4, SWAPS = 2000, NAPS = 2000 };

struct hammer {
    struct publisher *publisher;
    atomic_bool over;
    atomic_size_t borrows, faults;
};

/* Everything in one snapshot tells of one moment. */
static bool whole(const struct snapshot *snapshot) {
    const struct snapshot_entry *first = snapshot_find(snapshot, SLICE_LIT("production"), SLICE_LIT("first"));
    const struct snapshot_entry *second = snapshot_find(snapshot, SLICE_LIT("production"), SLICE_LIT("second"));
    int64_t seq = snapshot_position(snapshot).seq;
    return first && second && first->deployment.seq == seq && second->deployment.seq == seq &&
           first->version->number == seq && second->version->number == seq + 1 && first->version->config.ptr[0] == '{';
}

static void *read_thread(void *arg) {
    struct hammer *hammer = arg;
    int64_t last = 0;
    size_t borrows = 0, faults = 0;
    while (!atomic_load_explicit(&hammer->over, memory_order_relaxed)) {
        struct publisher_borrow borrow = publisher_borrow(hammer->publisher);
        int64_t seq = snapshot_position(borrow.snapshot).seq;
        faults += !whole(borrow.snapshot) || seq < last;
        last = seq;
        if (borrows % 50000 == 0) sched_yield(); /* inside the borrow: the publisher must wait for us */
        publisher_return(hammer->publisher, borrow);
        if (++borrows % 5000 == 0) sched_yield();
    }
    atomic_fetch_add(&hammer->borrows, borrows);
    atomic_fetch_add(&hammer->faults, faults);
    return NULL;
}

/* Keeps a few snapshots for longer than one publishing. */
static void *keep_thread(void *arg) {
    struct hammer *hammer = arg;
    struct snapshot *kept[4] = {NULL};
    size_t faults = 0;
    for (size_t i = 0; !atomic_load_explicit(&hammer->over, memory_order_relaxed); i = (i + 1) % ARRAY_LEN(kept)) {
        faults += kept[i] && !whole(kept[i]);
        snapshot_unref(kept[i]);
        kept[i] = publisher_get(hammer->publisher);
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        snapshot_unref(kept[i]);
    atomic_fetch_add(&hammer->faults, faults);
    return NULL;
}

static void test_hammer(void **state) {
    struct hammer hammer = {.publisher = publisher_at(1)};
    pthread_t threads[READERS + 1];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(threads + i, NULL, i < READERS ? read_thread : keep_thread, &hammer), 0);
    for (int64_t seq = 2; seq < 2 + SWAPS; seq++) {
        struct snapshot *base = publisher_get(hammer.publisher);
        struct snapshot *next = at_seq(base, seq);
        snapshot_unref(base);
        publisher_publish(hammer.publisher, next);
        if (seq_now(hammer.publisher) != seq) atomic_fetch_add(&hammer.faults, 1);
    }
    atomic_store(&hammer.over, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    print_message("%zu borrows over %d swaps\n", atomic_load(&hammer.borrows), SWAPS);
    assert_int_equal(atomic_load(&hammer.faults), 0);
    assert_true(atomic_load(&hammer.borrows) > 0);
    assert_int_equal(seq_now(hammer.publisher), 1 + SWAPS);
    publisher_free(hammer.publisher);
}

/* ---- put to sleep ---- */

static _Thread_local volatile sig_atomic_t slept;

/* Wherever the reader happens to be: between the steps of a borrow, too. */
static void sleep_here(int number) {
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    slept = 1;
}

/* Who woke up inside a borrow holds it for as long again, so that a borrow that was counted wrongly has its snapshot taken away. */
static void *sleepy_thread(void *arg) {
    struct hammer *hammer = arg;
    size_t faults = 0;
    while (!atomic_load_explicit(&hammer->over, memory_order_relaxed)) {
        struct publisher_borrow borrow = publisher_borrow(hammer->publisher);
        faults += !whole(borrow.snapshot);
        if (slept) {
            slept = 0;
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
            faults += !whole(borrow.snapshot);
        }
        publisher_return(hammer->publisher, borrow);
    }
    atomic_fetch_add(&hammer->faults, faults);
    return NULL;
}

/* One reader, put to sleep at any instruction while snapshots come and go. */
static void test_hammer_sleeper(void **state) {
    struct hammer hammer = {.publisher = publisher_at(1)};
    struct sigaction sleeping = {.sa_handler = sleep_here}, before;
    pthread_t thread;
    assert_int_equal(sigaction(SIGUSR1, &sleeping, &before), 0);
    assert_int_equal(pthread_create(&thread, NULL, sleepy_thread, &hammer), 0);
    for (int64_t seq = 2; seq < 2 + 2 * NAPS; seq++) {
        struct snapshot *base = publisher_get(hammer.publisher);
        struct snapshot *next = at_seq(base, seq);
        snapshot_unref(base);
        if (seq % 2) assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
        publisher_publish(hammer.publisher, next);
    }
    atomic_store(&hammer.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    assert_int_equal(atomic_load(&hammer.faults), 0);
    publisher_free(hammer.publisher);
}

/* Snapshots that share their pages are let go on several threads at once: counts must not be lost. */
struct letting_go {
    struct snapshot **snapshots;
    size_t from, step, count;
};

static void *let_go_thread(void *arg) {
    const struct letting_go *work = arg;
    for (size_t i = work->from; i < work->count; i += work->step)
        snapshot_unref(work->snapshots[i]);
    return NULL;
}

static void test_let_go_together(void **state) {
    enum { CHAIN = 400, THREADS = 4 };
    struct snapshot *chain[CHAIN];
    pthread_t threads[THREADS];
    struct letting_go work[THREADS];
    assert_int_equal(snapshot_new(&chain[0]), 0);
    for (size_t i = 1; i < CHAIN; i++)
        chain[i] = at_seq(chain[i - 1], (int64_t)(i / 2) + 1);
    for (size_t i = 0; i < THREADS; i++) {
        work[i] = (struct letting_go){chain, i, THREADS, CHAIN};
        assert_int_equal(pthread_create(threads + i, NULL, let_go_thread, work + i), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_empty),
        cmocka_unit_test(test_visible_when_published),
        cmocka_unit_test(test_old_one_is_freed_once),
        cmocka_unit_test(test_get_outlives),
        cmocka_unit_test(test_borrows_nest),
        cmocka_unit_test(test_waits_for_readers),
        cmocka_unit_test(test_returned_elsewhere),
        cmocka_unit_test(test_new_readers_do_not_delay),
        cmocka_unit_test(test_hammer),
        cmocka_unit_test(test_hammer_sleeper),
        cmocka_unit_test(test_let_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
