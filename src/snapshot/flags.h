/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flags of an environment in a snapshot, and what they do to the configurations that it serves.
 *
 * A set of flags is immutable and counted; an edit makes a new one that shares the flags that stay as they are. What flags are bound to is worked out when a
 * snapshot is built, for each agent that the environment serves and each version of it that somebody may get: a configuration becomes a row of pieces, of which
 * some stand or fall with a flag. So putting a decision together is copying, as it is without flags.
 *
 * Same rules as snapshot.h: pure, no lock, no allocation while reading.
 */
#ifndef SERIN_SNAPSHOT_FLAGS_H
#define SERIN_SNAPSHOT_FLAGS_H

#include "flags/flags.h"
#include "snapshot/snapshot.h"

struct snapshot_flags;

/* NULL: the environment has no flags. */
const struct snapshot_flags *snapshot_flags(const struct snapshot *snapshot, struct slice environment);
int64_t snapshot_flags_seq(
    const struct snapshot_flags *flags); /* of the newest change of any of them, also of one that is gone */
size_t snapshot_flags_count(const struct snapshot_flags *flags);
/* What all flags share, as JSON objects: the rules that they refer to, and the environment's metadata. */
struct slice snapshot_flags_evaluators(const struct snapshot_flags *flags);
struct slice snapshot_flags_metadata(const struct snapshot_flags *flags);
/* The members of the environment's metadata but for those that evaluations set, as flag.metadata; may be empty. */
struct slice snapshot_flags_told(const struct snapshot_flags *flags);
bool snapshot_flags_read_time(const struct snapshot_flags *flags); /* a rule reads $flagd.timestamp */
const struct flag *snapshot_flags_find(const struct snapshot_flags *flags, struct slice key);
const struct flag *snapshot_flags_at(const struct snapshot_flags *flags, size_t i); /* in order of key */

/* Appends the member `flags` as readers of the snapshot see it: {seq, $evaluators, metadata, flags: {<key>: {definition, bindings, seq}}}. */
void snapshot_flags_write(const struct snapshot_flags *flags, struct jw *jw);

/* ---- what they do to an agent ---- */

#define BOUND_FLAGS_MAX 64 /* of one agent; of more, the first in order of key count */

/* A piece of a configuration. OPEN and CLOSE are the ends of an object or a list; a comma stands before each item between them but the first. */
enum piece_kind {
    PIECE_TEXT, /* `text` */
    PIECE_OPEN, /* `text`; items follow. With `flags`: only if one of them has a value; else the next `skip` pieces are left out, too */
    PIECE_ITEM,      /* `text`: one item or more */
    PIECE_TOOL,      /* `text`: an item that is there unless one of the flags withholds it */
    PIECE_GUARDRAIL, /* `text`: an item that is there unless one of the flags is false */
    PIECE_VALUE, /* an item: `text`, and the value of the first of the flags that has one, else `original`. Without either it is not there */
    PIECE_CLOSE, /* `text` */
    PIECE_WHOLE, /* no item: `text`, the value as above, `after`; without a value `original` alone */
    PIECE_INSIDE, /* the same; but a value that is no text stands alone, without `text` and `after` */
};
struct piece {
    uint64_t flags; /* a bit each: which of the agent's flags */
    struct slice text, original, after;
    uint32_t skip;
    uint8_t kind; /* enum piece_kind */
};

/* A version of an agent that has bound flags. */
struct snapshot_pieces {
    const struct snapshot_version *version;
    const struct piece *pieces;
    uint32_t count;
    bool repeats;   /* a flag's value may stand at several of them */
    uint32_t texts; /* bytes that may stand beside all values */
};

/* What flags do to one agent. */
struct snapshot_bound {
    struct slice agent;
    uint32_t flag_count;
    const uint32_t *slots; /* of its flags, in order of key: numbers into snapshot_flags_slots() */
    uint32_t version_count;
    const struct snapshot_pieces *versions; /* every version that somebody may get */
};
/* NULL: no flag is bound to it. */
const struct snapshot_bound *snapshot_flags_bound(const struct snapshot_flags *flags, struct slice agent);
struct flag *const *snapshot_flags_slots(const struct snapshot_flags *flags);
/* NULL: it is not among them. */
const struct snapshot_pieces *snapshot_bound_pieces(const struct snapshot_bound *bound,
                                                    const struct snapshot_version *version);

/* ---- building ---- */

struct snapshot_flag_spec {
    const char *key, *definition, *bindings; /* JSON; definition NULL: it is removed */
    int64_t seq;
};
struct snapshot_flags_spec {
    const char *environment;
    int64_t seq; /* of the newest change */
    const char *evaluators,
        *metadata; /* JSON objects; NULL: they stay as they are. When they do not, all flags are given */
    const struct snapshot_flag_spec *flags;
    size_t count;
};
/* Sets and removes flags. One that this program cannot read is left out, as if there were none; *ret_left_out counts them. NO_MEMORY; on failure the edit is as
 * before. */
int snapshot_edit_flags(struct snapshot_edit *edit, const struct snapshot_flags_spec *spec, size_t *ret_left_out,
                        struct err *err) MUST_CHECK;

#endif
