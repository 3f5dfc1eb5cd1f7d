/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/window.h"

#include "intake/pack.h"

static size_t place_of(const struct window *window, int64_t batch) {
    size_t low = 0, high = window->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (window->above[middle] < batch)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* `low` moves over what is taken right behind it. */
static void close_up(struct window *window) {
    size_t moved = 0;
    while (moved < window->count && window->above[moved] == window->low + 1) {
        window->low++;
        moved++;
    }
    window->count -= moved;
    memmove(window->above, window->above + moved, window->count * sizeof(window->above[0]));
}

static void give_up_gap(struct window *window) {
    window->low = window->gap = window->above[0] - 1;
    close_up(window);
}

enum window_answer window_take(struct window *window, int64_t batch) {
    if (batch <= window->gap) return WINDOW_TOO_OLD;
    if (batch <= window->low) return WINDOW_TAKEN;
    size_t place = place_of(window, batch);
    if (place < window->count && window->above[place] == batch) return WINDOW_TAKEN;
    if (window->count == WINDOW_MAX && batch > window->low + 1) {
        if (place == 0) { /* the batch itself is next behind the gap */
            window->low = window->gap = batch - 1;
            place = 0;
        } else {
            give_up_gap(window);
            place = place_of(window, batch);
        }
    }
    if (batch > window->low + 1) {
        memmove(window->above + place + 1, window->above + place, (window->count - place) * sizeof(window->above[0]));
        window->above[place] = batch;
        window->count++;
        return WINDOW_NEW;
    }
    window->low = batch;
    close_up(window);
    return WINDOW_NEW;
}

void window_pack(const struct window *window, struct str *out) {
    int64_t before = window->low;
    for (size_t i = 0; i < window->count; i++) {
        pack_count(out, (uint64_t)(window->above[i] - before));
        before = window->above[i];
    }
}

bool window_unpack(struct window *window, struct slice bytes) {
    struct unpack from = UNPACK(bytes);
    int64_t before = window->low;
    for (window->count = 0; from.p < from.end && !from.failed; before = window->above[window->count++]) {
        uint64_t step = unpack_count(&from);
        from.failed |= window->count == WINDOW_MAX || step < 1 || step > INT64_MAX / 2;
        if (from.failed) break;
        window->above[window->count] = before + (int64_t)step;
    }
    return !from.failed;
}
