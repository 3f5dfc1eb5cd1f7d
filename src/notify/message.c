/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as Standard Webhooks has them: a JSON object {type, timestamp, data}, an id, and signatures over both. */
#include "base/clock.h"
#include "base/jw.h"
#include "notify/notify_impl.h"

#include <stdio.h>

#define SECOND INT64_C(1000000)

void message_id(const struct store_told_move *told, char ret[MESSAGE_ID_SIZE]) {
    snprintf(ret, MESSAGE_ID_SIZE, "msg_%s_%lld_%lld", told->move.rollout, (long long)told->position.epoch,
             (long long)told->position.seq);
}

static void write_data(struct jw *jw, const struct store_told_move *told) {
    char position[POSITION_TEXT_SIZE];
    position_text(told->position, position);
    jw_object(jw, "data");
    jw_text(jw, "agent", told->agent);
    jw_text(jw, "environment", told->environment);
    jw_text(jw, "rollout", told->move.rollout);
    jw_int(jw, "candidate", told->candidate);
    jw_int(jw, "stable", told->stable);
    jw_int(jw, "step", (int64_t)told->move.step + 1);
    jw_double(jw, "share", told->move.share / 1000.0);
    jw_text(jw, "state", rollout_state_name(told->move.state));
    jw_text(jw, "action", told->move.action);
    jw_text(jw, "words", told->move.words);
    jw_text(jw, "by", told->move.created_by);
    jw_text(jw, "position", position);
    jw_end_object(jw);
}

void message_body(const struct store_told_move *told, enum rollout_event event, struct str *out) {
    char at[CLOCK_TEXT_SIZE];
    struct jw jw = JW_INIT(out);
    clock_text(told->move.created_at, at);
    jw_object(&jw, NULL);
    jw_text(&jw, "type", rollout_event_type(event));
    jw_text(&jw, "timestamp", at);
    write_data(&jw, told);
    jw_end_object(&jw);
}

int message_sign(const struct webhook *webhook, const char *id, int64_t now, struct slice body, struct str *out,
                 struct err *err) {
    char signature[WEBHOOK_SIGNATURE_SIZE];
    int r = webhook_sign(webhook->secret, id, now / SECOND, body, signature, err);
    if (r < 0) return r;
    str_add_text(out, signature);
    if (!*webhook->previous || now >= webhook->previous_until) return 0;
    r = webhook_sign(webhook->previous, id, now / SECOND, body, signature, err);
    if (r < 0) return r;
    str_printf(out, " %s", signature);
    return 0;
}
