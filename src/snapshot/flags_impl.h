/* SPDX-License-Identifier: Apache-2.0 */
/* The files that make sets of flags. */
#ifndef SERIN_SNAPSHOT_FLAGS_IMPL_H
#define SERIN_SNAPSHOT_FLAGS_IMPL_H

#include "snapshot/flags.h"
#include "snapshot/snapshot_impl.h"

/* One open-addressed table of numbers: 0 is free. */
struct number_index {
    uint32_t *numbers;
    uint32_t mask; /* 0: none are there */
};

struct bound {
    atomic_uint count;
    struct arena arena;
    struct snapshot_bound shown;
    const struct snapshot_version **held; /* counted: version_count of them */
};

struct snapshot_flags {
    atomic_uint count;
    struct arena arena; /* of the arrays and texts */
    struct slice environment, evaluators, metadata, told;
    int64_t seq;
    bool reads_time;
    /* A flag keeps its slot as long as it is there, whatever it says: so what is bound need not be worked out anew for that. */
    struct flag **slots; /* counted; NULL: free */
    uint32_t slot_count;
    uint32_t *order; /* slots, in order of key */
    uint32_t flag_count;
    struct number_index by_key; /* slot + 1 */
    struct bound **bounds;      /* counted, in order of agent */
    uint32_t bound_count;
    struct number_index by_agent; /* bound + 1 */
};

/* All sets, in order of environment. */
struct flag_sets {
    atomic_uint count;
    size_t used, bound; /* `bound`: agents that any set does something to */
    struct snapshot_flags *items[];
};
struct flag_sets *flag_sets_ref(struct flag_sets *sets);   /* takes NULL */
struct flag_sets *flag_sets_unref(struct flag_sets *sets); /* takes NULL */
/* With that set in the place of the one of its environment. Takes the set over in any case. NULL: no memory. */
struct flag_sets *flag_sets_with(const struct flag_sets *sets, struct snapshot_flags *set) MUST_CHECK;

struct snapshot_flags *flags_unref(struct snapshot_flags *flags);
DEFINE_CLEANUP(struct snapshot_flags *, flags_unref)

/* The same flags and texts, without bounds. -ERR_NO_MEMORY. */
int flags_copy(const struct snapshot_flags *from, struct snapshot_flags **ret) MUST_CHECK;
/* As the spec changes `from` (NULL: nothing is there yet); without bounds. -ERR_NO_MEMORY. */
int flags_change(const struct snapshot_flags *from, const struct snapshot_flags_spec *spec, size_t *ret_left_out,
                 struct snapshot_flags **ret) MUST_CHECK;

/* ---- bound.c ---- */

struct bound *bound_unref(struct bound *bound);

/* Whose bounds are to be worked out anew. */
struct affected {
    bool all;
    const struct slice *agents;
    size_t count;
};
/* Gives `set`, which has none, its bounds: those of `from` (NULL: there is no set before it), but for whom is affected, worked out from what `snapshot` serves.
 * -ERR_NO_MEMORY. */
int flags_bind(const struct snapshot *snapshot, struct snapshot_flags *set, const struct snapshot_flags *from,
               const struct affected *affected) MUST_CHECK;

/* ---- pieces.c ---- */

/* One thing that a flag does to the agent. */
struct use {
    const struct flag_binding *binding;
    uint32_t flag; /* which of the agent's flags */
};
/* The configuration in pieces, in the arena. -ERR_NO_MEMORY. */
int pieces_make(struct slice config, const struct use *uses, size_t use_count, struct arena *arena,
                struct snapshot_pieces *ret) MUST_CHECK;

#endif
