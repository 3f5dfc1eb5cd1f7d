/* SPDX-License-Identifier: Apache-2.0 */
/* From an operation's row to the functions that carry it out: op_<name>_check and so on, by the row's kind. */
#include "ops/ops_impl.h"

/* clang-format off */
static const struct op_impl impls[OP_COUNT_] = {
#define PARAM(...)
#define IMPL_MEMORY(id)
#define IMPL_STREAM(id)
#define IMPL_INTAKE(id)
#define IMPL_READ(id) [OP_##id] = {.read = op_##id##_read},
#define IMPL_CHANGE(id) \
    [OP_##id].check = op_##id##_check, [OP_##id].apply = op_##id##_apply, \
    [OP_##id].answer = op_##id##_answer, [OP_##id].detail = op_##id##_detail,
#define OP(id, method, path, role, kind, ...) IMPL_##kind(id)
#include "ops/ops.def"
    [OP_version_push].prepare = op_version_push_prepare,
    [OP_key_create].prepare = op_key_create_prepare,
    [OP_rollout_failures].prepare = op_rollout_failures_prepare,
    [OP_outcome_sums].prepare = op_outcome_sums_prepare,
    [OP_webhook_put].prepare = op_webhook_put_prepare,
    [OP_webhook_rotate].prepare = op_webhook_rotate_prepare,
};
/* clang-format on */

const struct op_impl *op_impl(enum op_id id) {
    return &impls[id];
}
