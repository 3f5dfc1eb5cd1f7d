/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flags in a decision: those that are bound to the agent are asked, all of one snapshot with the version, and the configuration is put together from the pieces
 * that were made when the snapshot was built. Under a panic no flag counts: what is frozen is frozen as it was sealed.
 */
#include "resolve/resolve_impl.h"

#include <stdio.h>
#include <string.h>

/* What is asked with: for who gives no attributes the targeting key alone, in `member`. */
static struct logic_context context_of(const struct resolve_question *question, struct logic_member *member) {
    *member = (struct logic_member){SLICE_LIT("targetingKey"), logic_text(question->targeting_key)};
    struct logic_context context = {
        .data = {.type = LOGIC_OBJECT, .count = question->targeting_key.len > 0, .members = member}};
    if (question->attributes) context = *question->attributes;
    context.timestamp = question->now;
    return context;
}

/* One of the terms of decision->flags_sum, which do not wait for one another: both halves of a long product. */
static uint64_t mix(uint32_t place, int64_t seq, int16_t variant) {
    uint64_t x = ((uint64_t)seq << 16 ^ (uint16_t)variant) + (place + 1) * UINT64_C(0x9E3779B97F4A7C15);
    __extension__ unsigned __int128 product = (unsigned __int128)x * UINT64_C(0xD6E8FEB86659FD93);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define FLAG_FAILED (FLAG_NO_VARIANT - 1) /* which withholds tools, unlike a flag that has nothing to say */

static void note(const struct flag *flag, uint32_t i, struct decision *ret) {
    const struct flag_result *result = &ret->results[i];
    uint64_t bit = UINT64_C(1) << i;
    bool failed = result->reason == FLAG_IS_ERROR;
    ret->flags_sum += mix(i, flag->seq, failed ? FLAG_FAILED : result->variant);
    const struct flag_variant *variant = flag_result_variant(flag, result);
    if (variant) {
        __builtin_prefetch(variant->member.ptr);
        ret->valued |= bit;
        ret->valued_bytes += variant->member.len + 1;
    }
    if (flag_takes_away(flag, result, FLAG_GUARDRAIL)) ret->off |= bit;
    if (flag_takes_away(flag, result, FLAG_TOOL)) ret->withheld |= bit;
}

/* Between two requests the kernel has the caches for itself. So what a flag is evaluated with is fetched while those before it are evaluated: a rule is one block,
 * and most rules are a few lines long. */
#define AHEAD 3
#define RULE_LINES 5
static void fetch(const struct flag *flag) {
    const char *rule = (const char *)flag->targeting, *variants = (const char *)flag->variants;
    __builtin_prefetch(variants);
    __builtin_prefetch(variants + FLAG_LINE);
    if (flag->split) {
        __builtin_prefetch(flag->split);
        return;
    }
    for (size_t i = 0; rule && i < RULE_LINES; i++)
        __builtin_prefetch(rule + i * FLAG_LINE);
}

static void ask(const struct resolve_question *question, struct decision *ret) {
    struct logic_scratch scratch;
    struct logic_member member;
    struct logic_context context = context_of(question, &member);
    struct slice key = flag_context_key(&context);
    for (uint32_t i = 0; i < ret->bound->flag_count; i++)
        __builtin_prefetch(ret->slots[ret->bound->slots[i]]);
    for (uint32_t i = 0; i < ret->bound->flag_count; i++) {
        if (i + AHEAD < ret->bound->flag_count) fetch(ret->slots[ret->bound->slots[i + AHEAD]]);
        const struct flag *flag = ret->slots[ret->bound->slots[i]];
        struct flag_result *result = &ret->results[i];
        if (flag->split && flag->enabled && key.len)
            flag_evaluate_split(flag->split, key, result);
        else
            flag_evaluate(flag, &context, &scratch, NULL, NULL, result);
        note(flag, i, ret);
    }
}

void decide_flags(const struct snapshot *snapshot, const struct resolve_question *question, struct decision *ret) {
    if (ret->reason == RESOLVE_PANIC) return;
    const struct snapshot_flags *flags = snapshot_flags(snapshot, question->environment);
    if (!flags) return;
    ret->bound = snapshot_flags_bound(flags, question->agent);
    if (!ret->bound) return;
    ret->slots = snapshot_flags_slots(flags);
    ret->pieces = snapshot_bound_pieces(ret->bound, ret->version);
    ret->valued = ret->off = ret->withheld = ret->flags_sum = 0;
    ret->valued_bytes = 0;
    ask(question, ret);
}

/* ---- writing ---- */

static const struct flag_variant *variant_of(const struct decision *decision, uint32_t i) {
    return &decision->slots[decision->bound->slots[i]]->variants[decision->results[i].variant];
}

/* Of the first of these flags that has one; without `ptr`: none has. */
static struct slice first_value(const struct decision *decision, uint64_t flags) {
    uint64_t valued = flags & decision->valued;
    if (!valued) return (struct slice){NULL, 0};
    return variant_of(decision, (uint32_t)__builtin_ctzll(valued))->value;
}

static char *put_item(char *at, bool *first, struct slice item) {
    if (!*first) *at++ = ',';
    *first = false;
    return slice_put(at, item);
}

static char *put_parameter(const struct decision *decision, const struct piece *piece, char *at, bool *first) {
    struct slice value = first_value(decision, piece->flags);
    if (!value.ptr) value = piece->original;
    if (!value.len) return at;
    at = put_item(at, first, piece->text);
    return slice_put(at, value);
}

static char *put_whole(const struct decision *decision, const struct piece *piece, char *at) {
    struct slice value = first_value(decision, piece->flags);
    if (!value.ptr) return piece->original.len ? slice_put(at, piece->original) : at;
    if (piece->kind == PIECE_INSIDE && *value.ptr != '"') return slice_put(at, value);
    at = slice_put(at, piece->text);
    at = slice_put(at, value);
    return piece->after.len ? slice_put(at, piece->after) : at;
}

static char *put_pieces(const struct decision *decision, char *at) {
    const struct piece *pieces = decision->pieces->pieces;
    bool first = true;
    for (uint32_t i = 0; i < decision->pieces->count; i++) {
        const struct piece *piece = &pieces[i];
        switch (piece->kind) {
        case PIECE_OPEN:
            if (piece->flags && !(piece->flags & decision->valued)) {
                i += piece->skip;
                break;
            }
            first = true;
            at = slice_put(at, piece->text);
            break;
        case PIECE_TOOL:
            if (!(piece->flags & decision->withheld)) at = put_item(at, &first, piece->text);
            break;
        case PIECE_GUARDRAIL:
            if (!(piece->flags & decision->off)) at = put_item(at, &first, piece->text);
            break;
        case PIECE_ITEM:
            at = put_item(at, &first, piece->text);
            break;
        case PIECE_VALUE:
            at = put_parameter(decision, piece, at, &first);
            break;
        case PIECE_WHOLE:
        case PIECE_INSIDE:
            at = put_whole(decision, piece, at);
            break;
        default:
            at = slice_put(at, piece->text);
        }
    }
    return at;
}

char *put_flagged_config(const struct decision *decision, char *at) {
    return decision->pieces ? put_pieces(decision, at) : slice_put(at, decision->version->config);
}

char *put_flagged_tail(const struct decision *decision, char *at) {
    bool first = true;
    at = slice_put(at, SLICE_LIT("\"config\":"));
    at = put_flagged_config(decision, at);
    at = slice_put(at, SLICE_LIT(",\"flags\":{"));
    for (uint32_t i = 0; i < decision->bound->flag_count; i++) {
        if (!(decision->valued >> i & 1)) continue;
        at = put_item(at, &first, variant_of(decision, i)->member);
    }
    return slice_put(at, SLICE_LIT("}}"));
}

static size_t repeated_size(const struct decision *decision) {
    size_t size = 0;
    for (uint32_t i = 0; i < decision->pieces->count; i++)
        size += first_value(decision, decision->pieces->pieces[i].flags).len;
    return size;
}

/* Every value may stand once among the flags, and at each piece that it is for. */
size_t flagged_size(const struct decision *decision) {
    size_t size = decision->version->decision_tail.len + 2 + decision->valued_bytes;
    if (!decision->pieces) return size;
    size += decision->pieces->texts;
    return size + (decision->pieces->repeats ? repeated_size(decision) : decision->valued_bytes);
}

/* ---- explaining ---- */

static void write_effect(struct jw *jw, const struct flag_binding *binding, const struct decision *decision,
                         uint32_t i) {
    bool has_value = decision->valued >> i & 1;
    jw_object(jw, NULL);
    jw_slice(jw, flag_binding_kind_name(binding->kind), binding->name);
    if (binding->kind != FLAG_PARAMETER)
        jw_bool(jw, "on", !((binding->kind == FLAG_TOOL ? decision->withheld : decision->off) >> i & 1));
    else if (has_value)
        jw_raw(jw, "value", variant_of(decision, i)->value);
    jw_end_object(jw);
}

static void write_effects(struct jw *jw, const struct flag *flag, const struct decision *decision, uint32_t i) {
    jw_array(jw, "does");
    for (uint32_t b = 0; b < flag->binding_count; b++) {
        const struct flag_binding *binding = &flag->bindings[b];
        if (slice_equal(binding->agent, decision->bound->agent) || slice_equal_text(binding->agent, FLAG_EVERY_AGENT))
            write_effect(jw, binding, decision, i);
    }
    jw_end_array(jw);
}

static void write_trace(struct jw *jw, const struct logic_trace *trace) {
    if (trace->operation) {
        jw_object(jw, "taken");
        jw_text(jw, "operation", trace->operation);
        jw_int(jw, "argument", trace->argument);
        jw_end_object(jw);
    }
    if (!trace->has_bucket) return;
    jw_int(jw, "bucket", trace->bucket);
    jw_int(jw, "of", trace->total);
}

static void write_flag(struct jw *jw, const struct decision *decision, const struct logic_context *context,
                       uint32_t i) {
    const struct flag *flag = decision->slots[decision->bound->slots[i]];
    struct logic_scratch scratch;
    struct logic_trace trace = {0};
    struct flag_result result;
    char room[FLAG_RESULT_ROOM] = "";
    flag_evaluate(flag, context, &scratch, &trace, room, &result);
    jw_object(jw, NULL);
    jw_slice(jw, "key", flag->key);
    jw_text(jw, "reason", flag_reason_name((enum flag_reason)result.reason));
    if (result.error) jw_text(jw, "error", flag_error_name((enum flag_error)result.error));
    if (*room) jw_text(jw, "result", room);
    if (result.variant != FLAG_NO_VARIANT) {
        jw_slice(jw, "variant", flag->variants[result.variant].name);
        jw_raw(jw, "value", flag->variants[result.variant].value);
    }
    write_trace(jw, &trace);
    write_effects(jw, flag, decision, i);
    jw_int(jw, "seq", flag->seq);
    jw_raw(jw, "definition", flag->definition);
    jw_end_object(jw);
}

void explain_flags(const struct decision *decision, const struct resolve_question *question, struct jw *jw) {
    struct logic_member member;
    struct logic_context context = context_of(question, &member);
    if (!decision->bound) return;
    jw_array(jw, "flags");
    for (uint32_t i = 0; i < decision->bound->flag_count; i++)
        write_flag(jw, decision, &context, i);
    jw_end_array(jw);
}
