/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {"fractional": [what to go by, [result, weight], …]}: a user is always in the same place, and the weights say which result that is. By flagd's definition:
 *
 *   bucket = (MurmurHash3 x86 32-bit, seed 0, of the text to go by × sum of the weights) >> 32        in 64 bits
 *
 * and the first entry for which the bucket is below the sum of the weights up to it is the result. To go by is a text; when none is given, or it is null, the
 * flag's key with the targeting key right behind it. Without a targeting key, with a weight that is no whole number from 0 to FRACTION_WEIGHT_MAX (one below 0 counts
 * as 0), or with weights that are 0 or more than that in all, there is no result.
 */
#include "base/hash.h"
#include "base/murmur.h"
#include "logic/logic_impl.h"

#include <math.h>

static bool hash_user(struct machine *machine, uint32_t *ret) {
    const struct logic_value *key = find_name(machine, &machine->data, SLICE_LIT("targetingKey"));
    if (!key || key->type != LOGIC_TEXT || !key->count) return false;
    struct murmur murmur = MURMUR_START;
    if (machine->context && !machine->scoped) murmur = murmur_add(murmur, machine->context->flag_key);
    *ret = murmur_end_alone(murmur, logic_slice(key));
    return true;
}

static bool hash_of(struct machine *machine, const struct logic_value *by, uint32_t *ret) {
    if (!by || by->type == LOGIC_NULL) return hash_user(machine, ret);
    if (by->type != LOGIC_TEXT) return false;
    (void)machine_spend(machine, by->count / 64);
    *ret = murmur3_32(by->text, by->count, 0);
    return true;
}

static bool weight_of(const struct logic_value *value, double *ret) {
    if (value->type != LOGIC_NUMBER || !(value->number <= FRACTION_WEIGHT_MAX) || value->number != trunc(value->number))
        return false;
    *ret = value->number < 0 ? 0 : value->number;
    return true;
}

static bool sum_of(const struct logic_value *weights, uint32_t count, double *ret) {
    double weight;
    *ret = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!weight_of(weights + i, &weight)) return false;
        *ret += weight;
    }
    return *ret <= FRACTION_WEIGHT_MAX;
}

/* The entry of a bucket. The sums of constant weights were taken when the rule was compiled. */
static uint32_t entry_at(const struct logic_value *entries, const struct logic_value *weights, uint64_t bucket) {
    double sum = 0, weight = 0;
    for (uint32_t i = 0;; i++) {
        if (weights) sum += weight_of(weights + i, &weight) ? weight : 0;
        if ((double)bucket < (weights ? sum : entries[i].number)) return i;
    }
}

uint32_t fraction_of(struct machine *machine, const struct logic_step *step) {
    const struct logic_value *table = machine->rule->values + step->at, *entries = table + 1, *weights = NULL,
                             *by = NULL;
    uint32_t count = step->count, none = entries[count].count, hash;
    double total = table->number;
    if (table->count & FRACTION_COMPUTED) {
        weights = machine->top - (count - 1);
        machine->top -= count;
    }
    if (table->count & FRACTION_BY_VALUE) by = machine->top--;
    if (weights && !sum_of(weights, count, &total)) return none;
    if (total == 0 || !hash_of(machine, by, &hash)) return none;
    uint32_t bucket = (uint32_t)((uint64_t)hash * (uint64_t)total >> 32);
    uint32_t entry = entry_at(entries, weights, bucket);
    if (machine->trace) {
        machine->trace->has_bucket = true;
        machine->trace->bucket = bucket;
        machine->trace->total = (uint32_t)total;
        machine->trace->entry = (int32_t)entry;
    }
    return entries[entry].count;
}
