/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub. Events are numbered without end; number n lies in slot n % capacity. `first` is the oldest that is still there and
 * `floor` the position before it, so a resume behind `floor` has missed nothing. The snapshot that an event's entries come from is
 * the newest one at that moment, so a reader that applies events in order ends with the newest state.
 *
 * Streams stand in a list, for those who look at all, and in slots, for those who have an id. A free slot is on a chain; slots are handed out
 * in order until the first one comes back.
 */
#include "api/stream.h"

#include "base/hash.h"
#include "base/jw.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event {
    uint32_t refs; /* under the hub's lock */
    struct position position;
    char environment[64];
    struct str frame, notice; /* for HUB_CHANGES, for HUB_NOTICES */
};

/* The newest change of each environment that has changed since the hub began; environments are few. */
struct environment_position {
    char name[64];
    struct position position;
};

struct stream {
    struct http_stream http;
    struct hub *hub;
    struct stream *previous, *next;
    char environment[64], key_id[HUB_KEY_ID_MAX + 1];
    enum hub_form form;
    uint64_t cursor;       /* number of the next event to look at */
    struct event *current; /* being sent, or NULL */
    struct str own;        /* a frame of this stream alone: ready, refetch, comment */
    size_t sent;           /* of `own`, then of `current` */
    bool sleeping, revoked;
    int64_t spoke_at;
    uint32_t slot;
    uint64_t nonce;
    bool confirms; /* it ever did */
    struct position confirmed;
    int64_t opened_at;
    const char *name, *key; /* in `texts` */
    char texts[];
};

struct slot {
    struct stream *stream; /* NULL: free */
    uint32_t next_free;
};
#define NO_SLOT UINT32_MAX

struct hub {
    pthread_mutex_t lock;
    struct hub_options options;
    struct event **ring;
    uint64_t first, next;
    struct position floor, newest;
    struct position unnoted; /* of every environment that is not among `environments` */
    struct environment_position *environments;
    size_t environment_count;
    struct stream *streams;
    size_t stream_count;
    struct slot *slots; /* as many as the limit */
    uint32_t slots_used, free_slot;
    size_t confirming;
    uint64_t refused, confirmations;
    uint64_t keys; /* the generation that streams were held to */
    bool ended;
};

int hub_new(const struct hub_options *options, struct hub **ret, struct err *err) {
    struct hub *hub = calloc(1, sizeof(*hub));
    struct event **ring = calloc(options->ring, sizeof(*ring));
    struct slot *slots = calloc(options->limit + 1, sizeof(*slots)); /* what was never used takes no memory */
    if (!hub || !ring || !slots) {
        free(hub);
        free(ring);
        free(slots);
        return err_no_memory(err);
    }
    *hub = (struct hub){.options = *options, .ring = ring, .slots = slots, .free_slot = NO_SLOT};
    pthread_mutex_init(&hub->lock, NULL);
    *ret = hub;
    return 0;
}

static void event_unref(struct event *event) {
    if (!event || --event->refs) return;
    str_deinit(&event->frame);
    str_deinit(&event->notice);
    free(event);
}

struct hub *hub_free(struct hub *hub) {
    if (!hub) return NULL;
    for (uint64_t n = hub->first; n < hub->next; n++)
        event_unref(hub->ring[n % hub->options.ring]);
    pthread_mutex_destroy(&hub->lock);
    free(hub->environments);
    free(hub->slots);
    free(hub->ring);
    free(hub);
    return NULL;
}

/* ---- events ---- */

static void write_frame(struct str *out, const char *name, struct position position, const struct str *data) {
    char text[POSITION_TEXT_SIZE];
    position_text(position, text);
    str_printf(out, "id: %s\nevent: %s\ndata: ", text, name);
    str_add_slice(out, str_slice(data));
    str_add_text(out, "\n\n");
}

/* As OFREP has it: whoever hears it asks for all flags again. The tag is that of the environment, as the time is; a client's own tag is another one. */
static void write_notice(struct hub *hub, struct str *out, struct position position) {
    char text[POSITION_TEXT_SIZE];
    _cleanup_(str_deinit) struct str data = STR_INIT;
    struct jw jw = JW_INIT(&data);
    position_text(position, text);
    jw_object(&jw, NULL);
    jw_text(&jw, "type", "refetchEvaluation");
    jw_printf(&jw, "etag", "\"%s\"", text);
    jw_int(&jw, "lastModified", clock_wall(hub->options.clock) / 1000000);
    jw_end_object(&jw);
    if (data.failed) out->failed = true;
    write_frame(out, "message", position, &data);
}

static void begin_data(struct jw *jw, struct position position, const char *environment) {
    char text[POSITION_TEXT_SIZE];
    position_text(position, text);
    jw_object(jw, NULL);
    jw_text(jw, "position", text);
    jw_text(jw, "environment", environment);
}

static void write_change(struct jw *jw, const struct snapshot *snapshot, const struct store_touch *touch) {
    const struct snapshot_entry *entry = snapshot_find(snapshot, slice_of(touch->environment), slice_of(touch->agent));
    if (!entry) return;
    struct str text = STR_INIT;
    snapshot_entry_write(entry, &text);
    jw_object(jw, NULL);
    jw_text(jw, "agent", touch->agent);
    jw_raw(jw, "entry", str_slice(&text));
    jw_end_object(jw);
    if (text.failed) jw->out->failed = true;
    str_deinit(&text);
}

static void write_flags(struct jw *jw, const struct store_touch *touches, size_t count) {
    bool flags = false;
    for (size_t i = 0; i < count; i++)
        flags |= touches[i].what == TOUCHED_FLAGS;
    if (!flags) return;
    jw_object(jw, "flags");
    jw_int(jw, "seq", touches->seq);
    jw_end_object(jw);
}

/* The event of touches that share seq and environment. NULL when memory ran out. */
static struct event *event_new(struct hub *hub, const struct snapshot *snapshot, const struct store_touch *touches,
                               size_t count) {
    struct event *event = calloc(1, sizeof(*event));
    if (!event) return NULL;
    event->refs = 1;
    event->position = (struct position){snapshot_position(snapshot).epoch, touches->seq};
    snprintf(event->environment, sizeof(event->environment), "%s", touches->environment);

    _cleanup_(str_deinit) struct str data = STR_INIT;
    struct jw jw = JW_INIT(&data);
    begin_data(&jw, event->position, event->environment);
    jw_array(&jw, "changes");
    for (size_t i = 0; i < count; i++)
        write_change(&jw, snapshot, &touches[i]);
    jw_end_array(&jw);
    write_flags(&jw, touches, count);
    jw_end_object(&jw);
    write_frame(&event->frame, "change", event->position, &data);
    write_notice(hub, &event->notice, event->position);
    if (!data.failed && !event->frame.failed && !event->notice.failed) return event;
    event_unref(event);
    return NULL;
}

static void forget_oldest(struct hub *hub) {
    struct event *oldest = hub->ring[hub->first % hub->options.ring];
    hub->floor = oldest->position;
    event_unref(oldest);
    hub->first++;
}

/* An event that could not be made is a hole: everybody behind it must fetch again. */
static void forget_all(struct hub *hub, struct position position) {
    while (hub->first < hub->next)
        forget_oldest(hub);
    hub->first = ++hub->next;
    hub->floor = position;
}

static void wake_streams(struct hub *hub, const char *environment) {
    for (struct stream *stream = hub->streams; stream; stream = stream->next) {
        if (!stream->sleeping || (environment && strcmp(stream->environment, environment))) continue;
        stream->sleeping = false;
        http_stream_wake(stream->http.wake);
    }
}

static void note_environment(struct hub *hub, const char *name, struct position position) {
    for (size_t i = 0; i < hub->environment_count; i++) {
        if (strcmp(hub->environments[i].name, name)) continue;
        hub->environments[i].position = position;
        return;
    }
    struct environment_position *more = realloc(hub->environments, (hub->environment_count + 1) * sizeof(*more));
    if (!more) { /* it then stands for all that are not noted: their tags change once too often, never too seldom */
        hub->unnoted = position;
        return;
    }
    hub->environments = more;
    struct environment_position *added = &more[hub->environment_count++];
    snprintf(added->name, sizeof(added->name), "%s", name);
    added->position = position;
}

static void add_event(struct hub *hub, struct event *event, struct position position, const char *environment) {
    note_environment(hub, environment, position);
    if (!event) {
        forget_all(hub, position);
        wake_streams(hub, NULL);
        return;
    }
    if (hub->next - hub->first == hub->options.ring) forget_oldest(hub);
    hub->ring[hub->next++ % hub->options.ring] = event;
    wake_streams(hub, environment);
}

/* Nothing that was told leads here: everybody fetches again, and no tag of before holds. */
static void begin_anew(struct hub *hub, struct position position) {
    hub->environment_count = 0;
    if (hub->newest.epoch) forget_all(hub, position);
    hub->floor = position;
    hub->newest = position;
    hub->unnoted = position;
    wake_streams(hub, NULL);
}

static void add_events(struct hub *hub, const struct snapshot *snapshot, const struct live_news *news) {
    const struct store_touch *touches = news->touches;
    for (size_t i = 0, end; i < news->count; i = end) {
        end = i + 1;
        while (end < news->count && touches[end].seq == touches[i].seq &&
               !strcmp(touches[end].environment, touches[i].environment))
            end++;
        struct position position = {snapshot_position(snapshot).epoch, touches[i].seq};
        if (*touches[i].environment)
            add_event(hub, event_new(hub, snapshot, touches + i, end - i), position, touches[i].environment);
    }
}

static void end_revoked(struct hub *hub, const struct snapshot *snapshot) {
    uint64_t keys = snapshot_keys_generation(snapshot);
    if (keys == hub->keys) return;
    hub->keys = keys;
    for (struct stream *stream = hub->streams; stream; stream = stream->next) {
        if (!*stream->key_id || snapshot_key_by_id(snapshot, slice_of(stream->key_id))) continue;
        stream->revoked = true;
        if (!stream->sleeping) continue;
        stream->sleeping = false;
        http_stream_wake(stream->http.wake);
    }
}

void hub_changed(void *ctx, const struct snapshot *snapshot, const struct live_news *news) {
    struct hub *hub = ctx;
    pthread_mutex_lock(&hub->lock);
    end_revoked(hub, snapshot);
    if (news->anew || !hub->newest.epoch) begin_anew(hub, snapshot_position(snapshot));
    add_events(hub, snapshot, news);
    hub->newest = snapshot_position(snapshot);
    pthread_mutex_unlock(&hub->lock);
}

static struct position environment_position(const struct hub *hub, struct slice environment) {
    for (size_t i = 0; i < hub->environment_count; i++)
        if (slice_equal_text(environment, hub->environments[i].name)) return hub->environments[i].position;
    return hub->unnoted;
}

struct position hub_environment_position(struct hub *hub, struct slice environment) {
    pthread_mutex_lock(&hub->lock);
    struct position position = environment_position(hub, environment);
    pthread_mutex_unlock(&hub->lock);
    return position;
}

/* ---- streams ---- */

static void write_id(const struct stream *stream, char ret[STREAM_ID_SIZE]) {
    snprintf(ret, STREAM_ID_SIZE, "%08" PRIx32 "%016" PRIx64, stream->slot, stream->nonce);
}

/* An own frame: `ready` or `refetch`. Of a stream of notices the beginning is a comment, so that the client gets the headers. */
static void say(struct stream *stream, const char *name, struct position position) {
    bool ready = !strcmp(name, "ready");
    if (stream->form == HUB_NOTICES) {
        if (ready) str_add_text(&stream->own, ": ready\n\n");
        if (!ready) write_notice(stream->hub, &stream->own, position);
        return;
    }
    _cleanup_(str_deinit) struct str data = STR_INIT;
    struct jw jw = JW_INIT(&data);
    begin_data(&jw, position, stream->environment);
    if (ready) {
        char id[STREAM_ID_SIZE];
        write_id(stream, id);
        jw_text(&jw, "stream", id);
    }
    jw_end_object(&jw);
    write_frame(&stream->own, name, position, &data);
}

static struct slice current_frame(const struct stream *stream) {
    return str_slice(stream->form == HUB_NOTICES ? &stream->current->notice : &stream->current->frame);
}

/* The next event of its environment; of those that wait for a stream of notices, the newest alone. */
static void take_event(struct stream *stream) {
    struct hub *hub = stream->hub;
    while (stream->cursor < hub->next && (!stream->current || stream->form == HUB_NOTICES)) {
        struct event *event = hub->ring[stream->cursor++ % hub->options.ring];
        if (!strcmp(event->environment, stream->environment)) stream->current = event;
    }
    if (stream->current) stream->current->refs++;
}

/* The next piece to send: a frame of its own, or the next event of its environment. Empty when there is none. */
static struct slice next_piece(struct stream *stream) {
    struct hub *hub = stream->hub;
    if (stream->own.len) return str_slice(&stream->own);
    if (stream->current) return current_frame(stream);
    if (stream->cursor < hub->first) {
        stream->cursor = hub->next;
        say(stream, "refetch", hub->newest);
        return str_slice(&stream->own);
    }
    take_event(stream);
    return stream->current ? current_frame(stream) : (struct slice){0};
}

static void piece_done(struct stream *stream) {
    stream->sent = 0;
    if (stream->own.len) {
        str_deinit(&stream->own);
        stream->own = STR_INIT;
        return;
    }
    event_unref(stream->current);
    stream->current = NULL;
}

static ssize_t read_locked(struct stream *stream, char *buffer, size_t max) {
    size_t filled = 0;
    if (stream->revoked) return -1;
    while (filled < max) {
        struct slice piece = next_piece(stream);
        if (stream->own.failed) return -1;
        if (!piece.len) break;
        size_t part = piece.len - stream->sent < max - filled ? piece.len - stream->sent : max - filled;
        memcpy(buffer + filled, piece.ptr + stream->sent, part);
        filled += part;
        stream->sent += part;
        if (stream->sent == piece.len) piece_done(stream);
    }
    if (!filled && stream->hub->ended) return -1;
    stream->sleeping = !filled;
    stream->spoke_at = clock_monotonic(stream->hub->options.clock);
    return (ssize_t)filled;
}

static ssize_t stream_read(void *ctx, char *buffer, size_t max) {
    struct stream *stream = ctx;
    pthread_mutex_lock(&stream->hub->lock);
    ssize_t filled = read_locked(stream, buffer, max);
    pthread_mutex_unlock(&stream->hub->lock);
    return filled;
}

static void take_slot(struct hub *hub, struct stream *stream) {
    stream->slot = hub->free_slot != NO_SLOT ? hub->free_slot : hub->slots_used++;
    struct slot *slot = &hub->slots[stream->slot];
    if (stream->slot == hub->free_slot) hub->free_slot = slot->next_free;
    slot->stream = stream;
}

static void give_slot_back(struct hub *hub, uint32_t slot) {
    hub->slots[slot] = (struct slot){.next_free = hub->free_slot};
    hub->free_slot = slot;
}

static void stream_close(void *ctx) {
    struct stream *stream = ctx;
    struct hub *hub = stream->hub;
    pthread_mutex_lock(&hub->lock);
    if (stream->previous) stream->previous->next = stream->next;
    if (!stream->previous) hub->streams = stream->next;
    if (stream->next) stream->next->previous = stream->previous;
    hub->stream_count--;
    hub->confirming -= stream->confirms;
    give_slot_back(hub, stream->slot);
    event_unref(stream->current);
    pthread_mutex_unlock(&hub->lock);
    str_deinit(&stream->own);
    free(stream);
}

/* A notice says no more than that something was missed, so nothing need be replayed. */
static void place_among_notices(struct hub *hub, struct stream *stream, const struct position *after) {
    bool missed = position_compare(*after, environment_position(hub, slice_of(stream->environment))) < 0 ||
                  position_compare(*after, hub->newest) > 0;
    if (missed) say(stream, "refetch", hub->newest);
}

/* Where a stream begins: behind `after` when the ring still has all that followed, else with a refetch. */
static void place_cursor(struct hub *hub, struct stream *stream, const struct position *after) {
    stream->cursor = hub->next;
    if (!after) return;
    if (stream->form == HUB_NOTICES) {
        place_among_notices(hub, stream, after);
        return;
    }
    bool held = position_compare(*after, hub->floor) >= 0 && position_compare(*after, hub->newest) <= 0;
    if (!held) {
        say(stream, "refetch", hub->newest);
        return;
    }
    while (stream->cursor > hub->first &&
           position_compare(hub->ring[(stream->cursor - 1) % hub->options.ring]->position, *after) > 0)
        stream->cursor--;
}

/* Takes the stream into the list; false when that is full. */
static bool add_stream(struct hub *hub, struct stream *stream, const struct position *after) {
    pthread_mutex_lock(&hub->lock);
    bool room = hub->stream_count < hub->options.limit;
    if (room) {
        take_slot(hub, stream);
        say(stream, "ready", after ? *after : hub->newest);
        place_cursor(hub, stream, after);
        stream->next = hub->streams;
        if (hub->streams) hub->streams->previous = stream;
        hub->streams = stream;
        hub->stream_count++;
    } else {
        hub->refused++;
    }
    pthread_mutex_unlock(&hub->lock);
    return room;
}

static char *add_text(char *texts, struct slice text) {
    if (text.len) memcpy(texts, text.ptr, text.len);
    texts[text.len] = '\0';
    return texts + text.len + 1;
}

static struct stream *stream_new(struct hub *hub, const struct hub_reader *reader) {
    struct stream *stream = calloc(1, sizeof(*stream) + reader->name.len + reader->key.len + 2);
    if (!stream) return NULL;
    stream->hub = hub;
    stream->http = (struct http_stream){.ctx = stream, .read = stream_read, .close = stream_close};
    snprintf(stream->environment, sizeof(stream->environment), "%.*s", (int)reader->environment.len,
             reader->environment.ptr);
    snprintf(stream->key_id, sizeof(stream->key_id), "%.*s", (int)reader->key_id.len,
             reader->key_id.ptr ? reader->key_id.ptr : "");
    stream->form = reader->form;
    stream->opened_at = clock_wall(hub->options.clock);
    stream->name = stream->texts;
    stream->key = add_text(stream->texts, reader->name);
    add_text(stream->texts + reader->name.len + 1, reader->key);
    return stream;
}

int hub_open(struct hub *hub, const struct hub_reader *reader, struct http_stream **ret, struct err *err) {
    struct stream *stream = stream_new(hub, reader);
    if (!stream) return err_no_memory(err);
    int r = random_bytes(&stream->nonce, sizeof(stream->nonce), err);
    if (r == 0 && !add_stream(hub, stream, reader->after))
        r = err_set(err, ERR_TOO_MANY_STREAMS, "%zu streams are open, as many as this server allows",
                    hub->options.limit);
    if (r < 0) {
        free(stream);
        return r;
    }
    *ret = &stream->http;
    return 0;
}

/* ---- what readers confirm ---- */

static bool id_part(const char **text, size_t digits, uint64_t *ret) {
    *ret = 0;
    for (; digits; digits--, (*text)++) {
        char c = **text;
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter) return false;
        *ret = *ret << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

static struct stream *find_stream(const struct hub *hub, struct slice id) {
    uint64_t slot, nonce;
    const char *text = id.ptr;
    if (id.len != STREAM_ID_SIZE - 1 || !id_part(&text, 8, &slot) || !id_part(&text, 16, &nonce)) return NULL;
    struct stream *stream = slot < hub->slots_used ? hub->slots[slot].stream : NULL;
    return stream && stream->nonce == nonce ? stream : NULL;
}

static struct position note_confirmed(struct hub *hub, struct stream *stream, struct position position) {
    hub->confirming += !stream->confirms;
    hub->confirmations++;
    stream->confirms = true;
    if (position_compare(position, stream->confirmed) > 0) stream->confirmed = position;
    return stream->confirmed;
}

int hub_confirm(struct hub *hub, const struct hub_confirmation *confirmation, struct position *ret, struct err *err) {
    pthread_mutex_lock(&hub->lock);
    struct stream *stream = find_stream(hub, confirmation->stream);
    if (stream && !principal_sees(confirmation->principal, slice_of(stream->environment))) stream = NULL;
    if (stream) *ret = note_confirmed(hub, stream, confirmation->position);
    pthread_mutex_unlock(&hub->lock);
    if (stream) return 0;
    int r = err_set(err, ERR_STREAM_NOT_FOUND, "no stream of that id is open");
    err_at(err, "stream");
    return r;
}

/* The one that is further behind; of two that are equally far, the one that has been so for longer. */
static bool is_before(const struct stream *a, const struct stream *b) {
    int order = position_compare(a->confirmed, b->confirmed);
    return order ? order < 0 : a->opened_at < b->opened_at;
}

struct laggards {
    const struct stream *streams[HUB_LAGGARDS_MAX];
    size_t count;
};

static void note_laggard(struct laggards *laggards, const struct stream *stream) {
    size_t low = 0, high = laggards->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (is_before(stream, laggards->streams[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    if (low == HUB_LAGGARDS_MAX) return;
    if (laggards->count < HUB_LAGGARDS_MAX) laggards->count++;
    memmove(laggards->streams + low + 1, laggards->streams + low,
            (laggards->count - 1 - low) * sizeof(*laggards->streams));
    laggards->streams[low] = stream;
}

static int tell_laggard(const struct stream *stream, struct arena *arena, struct hub_laggard *ret) {
    *ret = (struct hub_laggard){
        .name = arena_strdup(arena, stream->name),
        .key = arena_strdup(arena, stream->key),
        .confirmed = stream->confirmed,
        .opened_at = stream->opened_at,
    };
    write_id(stream, ret->id);
    return ret->name && ret->key ? 0 : -ERR_NO_MEMORY;
}

/* Readers hear only of changes in their environment, so whoever has its newest one has all up to where the hub is. */
static struct position position_needed(const struct hub *hub, struct position asked, struct position newest) {
    bool between = position_compare(asked, newest) > 0 && position_compare(asked, hub->newest) <= 0;
    return between ? newest : asked;
}

static int look_at_streams(struct hub *hub, struct slice environment, const struct position *position,
                           struct arena *arena, struct hub_standing *ret) {
    struct laggards laggards = {.count = 0};
    struct position newest = environment_position(hub, environment);
    ret->position = position ? *position : newest;
    struct position needed = position_needed(hub, ret->position, newest);
    for (const struct stream *stream = hub->streams; stream; stream = stream->next) {
        if (!slice_equal_text(environment, stream->environment)) continue;
        ret->streams++;
        if (!stream->confirms) continue;
        ret->confirming++;
        if (position_compare(stream->confirmed, needed) >= 0)
            ret->confirmed++;
        else
            note_laggard(&laggards, stream);
    }
    for (; ret->laggard_count < laggards.count; ret->laggard_count++) {
        struct hub_laggard *laggard = &ret->laggards[ret->laggard_count];
        if (tell_laggard(laggards.streams[ret->laggard_count], arena, laggard) < 0) return -ERR_NO_MEMORY;
    }
    return 0;
}

int hub_standing(struct hub *hub, struct slice environment, const struct position *position, struct arena *arena,
                 struct hub_standing *ret) {
    *ret = (struct hub_standing){.streams = 0};
    pthread_mutex_lock(&hub->lock);
    int r = look_at_streams(hub, environment, position, arena, ret);
    pthread_mutex_unlock(&hub->lock);
    return r;
}

/* ---- the hub ---- */

void hub_tick(struct hub *hub) {
    pthread_mutex_lock(&hub->lock);
    int64_t now = clock_monotonic(hub->options.clock);
    for (struct stream *stream = hub->streams; stream; stream = stream->next) {
        if (!stream->sleeping || now - stream->spoke_at < hub->options.keepalive_us) continue;
        str_add_text(&stream->own, ": still here\n\n");
        stream->sleeping = false;
        http_stream_wake(stream->http.wake);
    }
    pthread_mutex_unlock(&hub->lock);
}

void hub_end(struct hub *hub) {
    pthread_mutex_lock(&hub->lock);
    hub->ended = true;
    wake_streams(hub, NULL);
    pthread_mutex_unlock(&hub->lock);
}

void hub_stats(struct hub *hub, struct hub_stats *ret) {
    pthread_mutex_lock(&hub->lock);
    *ret = (struct hub_stats){
        .streams = hub->stream_count,
        .limit = hub->options.limit,
        .confirming = hub->confirming,
        .events = hub->next,
        .refused = hub->refused,
        .confirmations = hub->confirmations,
    };
    pthread_mutex_unlock(&hub->lock);
}
