/* SPDX-License-Identifier: Apache-2.0 */
/* The store's part about flags; see store.h for what holds of all of it. Keys are in order of their bytes. */
#ifndef SERIN_STORE_FLAGS_H
#define SERIN_STORE_FLAGS_H

#include "store/store.h"

enum flag_part { FLAG_PART_FLAG, FLAG_PART_EVALUATOR, FLAG_PART_METADATA }; /* metadata has the key "" */
const char *flag_part_name(enum flag_part part);                            /* "flag" */

struct flag_record {
    const char *environment;
    enum flag_part part;
    const char *key;
    const char *content;  /* compact JSON: a definition, a rule, the metadata of all */
    const char *bindings; /* JSON array; "[]" for what is no flag */
    bool removed;         /* content and bindings are those that it had */
    const char *reason;
    const char *created_by;
    int64_t created_at;
    int64_t seq;
};

/* As of seq (0 = now). STORE_NONE. */
int store_flag_get(struct store_tx *tx, const char *environment, enum flag_part part, const char *key, int64_t seq,
                   struct arena *arena, struct flag_record *ret, struct err *err) MUST_CHECK;
struct store_flags_query {
    const char *environment;
    enum flag_part part;
    int64_t seq;       /* as of it; 0 = now */
    const char *after; /* only keys behind it; "" = from the start */
    size_t limit;
};
int store_flags(struct store_tx *tx, const struct store_flags_query *query, struct arena *arena,
                struct flag_record **ret, size_t *ret_count, struct err *err) MUST_CHECK;
/* The newest change of any of them as of seq (0 = now); 0: none ever was. */
int store_flags_seq(struct store_tx *tx, const char *environment, int64_t seq, int64_t *ret,
                    struct err *err) MUST_CHECK;
int store_flag_count(struct store_tx *tx, const char *environment, enum flag_part part, int64_t *ret,
                     struct err *err) MUST_CHECK;
/* Every setting and removing of one key, or (key NULL) of all of the environment; newest first, seq < before (0 = from the newest). */
int store_flag_history(struct store_tx *tx, const char *environment, const char *key, int64_t before, size_t limit,
                       struct arena *arena, struct flag_record **ret, size_t *ret_count, struct err *err) MUST_CHECK;
/* What was set or removed in the environment with after < seq <= last, each part and key once, as it is as of `last`. In order of part and key. */
int store_flags_changed(struct store_tx *tx, const char *environment, int64_t after, int64_t last, struct arena *arena,
                        struct flag_record **ret, size_t *ret_count, struct err *err) MUST_CHECK;

int store_flag_put(struct store_tx *tx, const struct flag_record *record, struct err *err) MUST_CHECK;
/* Who, why and when are the record's; STORE_NONE when there is none. */
int store_flag_remove(struct store_tx *tx, const struct flag_record *record, struct err *err) MUST_CHECK;

#endif
