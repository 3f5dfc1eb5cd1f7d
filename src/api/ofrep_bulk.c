/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All flags at once, in order of key: what clients in browsers keep and read from. The tag stands for everything that the answer depends on, and is made without
 * evaluating anything, so that asking again costs next to nothing.
 *
 * The hub is told of a change after it was published. So the snapshot may be ahead of the position that the hub has of the environment, or behind it when this request
 * has borrowed it before. The tag has the earlier of the two: it may change once too often, and never says that an older answer is the newest.
 */
#include "api/ofrep_impl.h"

#define TAG_SIZE 19 /* 16 digits, quotes, a NUL */

/* Which list it is. */
struct edition {
    struct position position; /* of the environment */
    int64_t until;            /* the token for its stream holds */
    struct slice tag;
};

struct bulk {
    const struct ofrep *ofrep;
    struct str *out;
    size_t agents, agents_at; /* how many, and where they begin */
    uint64_t steps;           /* that rules have taken so far */
};

static void write_comma(struct str *out) {
    if (out->len && out->data[out->len - 1] == '}') str_add_char(out, ',');
}

/* ---- agents ---- */

static int count_agent(void *ctx, const struct snapshot_entry *entry) {
    struct bulk *bulk = ctx;
    return ++bulk->agents > OFREP_AGENTS_MAX;
}

/* Whoever looks at a list uses nothing of it yet: it is no decision that is counted. */
static int write_agent(void *ctx, const struct snapshot_entry *entry) {
    struct bulk *bulk = ctx;
    struct decision decision;
    write_comma(bulk->out);
    (void)ofrep_write_agent(bulk->ofrep, entry->agent, &decision, bulk->out);
    return bulk->out->failed || bulk->steps > OFREP_STEPS_MAX ||
           bulk->out->len - bulk->agents_at > OFREP_AGENTS_BYTES_MAX;
}

/* Their keys all begin alike, so they stand together. Too many of them, or too much, are left out whole. */
static void write_agents(struct bulk *bulk) {
    const struct ofrep *ofrep = bulk->ofrep;
    bulk->agents = 0;
    bulk->agents_at = bulk->out->len;
    if (snapshot_each(ofrep->snapshot, ofrep->environment.ptr, count_agent, bulk)) return;
    if (!snapshot_each(ofrep->snapshot, ofrep->environment.ptr, write_agent, bulk) || bulk->out->failed) return;
    bulk->out->len = bulk->agents_at;
    bulk->out->data[bulk->agents_at] = '\0';
}

/* ---- flags ---- */

static bool stands_before_agents(struct slice key) {
    static const char prefix[] = FLAG_AGENT_PREFIX;
    size_t len = key.len < sizeof(prefix) - 1 ? key.len : sizeof(prefix) - 1;
    int order = memcmp(key.ptr, prefix, len);
    return order < 0 || (order == 0 && key.len < sizeof(prefix) - 1);
}

/* A list has an end, and is made in a time that has one. */
static int check_bounds(const struct bulk *bulk, struct err *err) {
    const struct slice *environment = &bulk->ofrep->environment;
    if (bulk->out->failed) return err_no_memory(err);
    if (bulk->steps > OFREP_STEPS_MAX)
        return err_set(
            err, ERR_INVALID,
            "the rules of %.*s go over so many and so long lists and texts of this context that they take more than "
            "%d steps: send less of it, or ask for flags one by one",
            (int)environment->len, environment->ptr, OFREP_STEPS_MAX);
    if (bulk->out->len <= OFREP_BULK_MAX) return 0;
    return err_set(err, ERR_INVALID, "the flags of %.*s come to more than %d bytes: ask for them one by one",
                   (int)environment->len, environment->ptr, OFREP_BULK_MAX);
}

static int write_flags(struct bulk *bulk, struct err *err) {
    const struct snapshot_flags *flags = bulk->ofrep->flags;
    size_t count = flags ? snapshot_flags_count(flags) : 0;
    bool agents = false;
    for (size_t i = 0; i < count; i++) {
        const struct flag *flag = snapshot_flags_at(flags, i);
        if (!agents && !stands_before_agents(flag->key)) {
            write_agents(bulk);
            agents = true;
        }
        write_comma(bulk->out);
        (void)ofrep_write_flag(bulk->ofrep, flag, bulk->out);
        int r = check_bounds(bulk, err);
        if (r < 0) return r;
    }
    if (!agents) write_agents(bulk);
    return check_bounds(bulk, err);
}

/* Without `origin`: clients put that of their own base address before it. The stream begins behind what this list shows, so nothing is missed between the two. */
static int write_streams(const struct ofrep *ofrep, const struct edition *edition, struct str *out) {
    char position[POSITION_TEXT_SIZE];
    const char *token = ofrep_token(ofrep, edition->until);
    if (!token) return -ERR_NO_MEMORY;
    position_text(edition->position, position);
    str_add_slice(
        out,
        SLICE_LIT(",\"eventStreams\":[{\"type\":\"sse\",\"endpoint\":{\"requestUri\":\"" OFREP_STREAM_PATH "?after="));
    str_add_text(out, position);
    str_add_slice(out, SLICE_LIT("&token="));
    str_add_text(out, token);
    str_add_slice(out, SLICE_LIT("\"}}]}"));
    return 0;
}

static int write_all(struct ofrep *ofrep, const struct edition *edition, struct str *out, struct err *err) {
    struct bulk bulk = {.ofrep = ofrep, .out = out};
    ofrep->asked.attributes.steps = &bulk.steps;
    str_add_slice(out, SLICE_LIT("{\"flags\":["));
    int r = write_flags(&bulk, err);
    ofrep->asked.attributes.steps = NULL;
    if (r < 0) return r;
    str_add_char(out, ']');
    ofrep_write_metadata(ofrep, ofrep->flags ? snapshot_flags_told(ofrep->flags) : SLICE_LIT(""),
                         ofrep->flags ? snapshot_flags_seq(ofrep->flags) : 0, out);
    r = write_streams(ofrep, edition, out);
    return r < 0 || out->failed ? err_no_memory(err) : 0;
}

/* ---- the tag ---- */

static struct position position_of(const struct ofrep *ofrep) {
    struct position position = hub_environment_position(ofrep->api->hub, ofrep->environment);
    struct position held = snapshot_position(ofrep->snapshot);
    return position_compare(position, held) < 0 ? position : held;
}

/* A session that has yet to begin begins without a change of its context, so what it comes to now is in it, too. What the token says stands for it, for its
 * signature takes longer than all the rest, and the process, whose hash it is: whoever is told "nothing new" has one that holds. */
static int make_edition(const struct ofrep *ofrep, struct edition *ret, struct err *err) {
    char *tag = arena_alloc(http_arena(ofrep->request), TAG_SIZE);
    if (!tag) return err_no_memory(err);
    *ret = (struct edition){position_of(ofrep), ofrep_token_until(ofrep), {tag, TAG_SIZE - 1}};
    const int64_t depends[] = {ret->position.epoch, ret->position.seq, ret->until, ofrep->asked.attributes.timestamp,
                               asked_session(ofrep->api, &ofrep->asked)};
    uint64_t hash = ofrep_hash(ofrep, depends, ARRAY_LEN(depends));
    hex_encode(&hash, sizeof(hash), tag + 1);
    tag[0] = tag[TAG_SIZE - 2] = '"';
    tag[TAG_SIZE - 1] = '\0';
    return 0;
}

int ofrep_bulk(struct ofrep *ofrep, struct http_response *response, struct err *err) {
    struct edition edition = {0};
    int r = make_edition(ofrep, &edition, err);
    if (r < 0) return r;
    bool held = request_has_tag(ofrep->request, edition.tag.ptr);
    if (!held) r = ofrep_prepare(ofrep, err);
    if (r == 0 && !held) r = write_all(ofrep, &edition, &response->body, err);
    if (r < 0) return r;
    response->status = held ? 304 : 200;
    response->content_type = "application/json";
    http_response_text(response, "ETag", edition.tag);
    return 0;
}
