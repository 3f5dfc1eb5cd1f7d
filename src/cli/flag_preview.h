/* SPDX-License-Identifier: Apache-2.0 */
/* Inside `serin flag preview`: what is found out (flag_preview.c), and how it is told (flag_preview_tell.c). */
#ifndef SERIN_CLI_FLAG_PREVIEW_H
#define SERIN_CLI_FLAG_PREVIEW_H

#include "cli/cli_impl.h"

#define PREVIEW_SAMPLES_MAX 5

/* A flag as it is or would be. Outcomes are its variants by number, then these two. */
struct preview_side {
    struct flag *flag; /* NULL: none */
    uint32_t none, failed, count;
};

/* What a binding does on both sides. */
struct preview_effect {
    const struct flag_binding *binding;
    bool was_bound, is_bound;
    int64_t appears, disappears, changes;
};

struct preview_sample {
    const char *context;
    uint32_t was, is;
};

struct preview {
    struct cli *cli;
    struct answer answer; /* all flags of the environment */
    struct flag_wish wish;
    struct preview_side was, is;
    struct population population;
    int64_t seed, total, changed, timestamp;
    bool made_up;
    int64_t *pairs; /* was.count rows of is.count */
    struct preview_effect effects[2 * FLAG_BINDINGS_MAX];
    size_t effect_count;
    struct preview_sample samples[PREVIEW_SAMPLES_MAX];
    size_t sample_count;
    struct logic_scratch scratch;
};

/* The value of an outcome; empty: it has none. */
struct slice preview_value(const struct preview_side *side, uint32_t outcome);
struct slice preview_name(const struct preview_side *side, uint32_t outcome);
bool preview_differ(const struct preview *preview, uint32_t was, uint32_t is);

/* Prints it, as JSON if that is asked for. */
int preview_tell(const struct preview *preview, struct err *err) MUST_CHECK;

#endif
