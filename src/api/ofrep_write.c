/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluations in OFREP's form. Members that some clients cannot do without are always there: variant, metadata, errorDetails. A value is written as it was stored, so
 * 1.0 stays 1.0; without one the caller's own default applies, and the variant is "".
 */
#include "api/ofrep_impl.h"

#include <stdio.h>
#include <string.h>

/* Who is asked about, without saying who: a hash of the environment and the key. Keys and names of environments need no escapes. */
int ofrep_prepare(struct ofrep *ofrep, struct err *err) {
    static const char set[] = "\",\"flagSetId\":\"", context[] = "\",\"contextId\":\"", end[] = "\"}";
    char unit[UNIT_TEXT_SIZE] = "";
    if (ofrep->asked.key.len) resolve_unit(ofrep->environment, ofrep->asked.key, unit);
    char *text = arena_alloc(http_arena(ofrep->request),
                             sizeof(set) + sizeof(context) + sizeof(end) + ofrep->environment.len + sizeof(unit));
    if (!text) return err_no_memory(err);
    char *at = slice_put(slice_put(text, SLICE_LIT(set)), ofrep->environment);
    at = slice_put(slice_put(slice_put(at, SLICE_LIT(context)), slice_of(unit)), SLICE_LIT(end));
    ofrep->set = (struct slice){text, (size_t)(at - text)};
    return 0;
}

void ofrep_write_failure(const char *key, const char *code, const struct err *err, struct str *out) {
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    if (key) jw_text(&jw, "key", key);
    jw_text(&jw, "errorCode", code);
    jw_text(&jw, "errorDetails", err->message);
    jw_end_object(&jw);
}

/* ---- flags ---- */

void ofrep_write_metadata(const struct ofrep *ofrep, struct slice members, int64_t version, struct str *out) {
    str_add_slice(out, SLICE_LIT(",\"metadata\":{"));
    if (members.len) {
        str_add_slice(out, members);
        str_add_char(out, ',');
    }
    str_add_slice(out, SLICE_LIT("\"version\":\""));
    str_add_int(out, version);
    str_add_slice(out, ofrep->set);
}

static void write_details(const struct flag_result *result, const char *room, struct str *out) {
    char text[FLAG_RESULT_ROOM + 64];
    const char *told = result->error == FLAG_KEY_MISSING
                           ? "the flag's rule needs a targetingKey, and the flag has no default variant"
                           : "the flag's rule comes to no result within its bounds";
    int len = snprintf(text, sizeof(text), "the flag's rule comes to %s, which is no variant", room);
    if (result->error == FLAG_GENERAL)
        str_add_json(out, text, (size_t)len);
    else
        str_add_json(out, told, strlen(told));
}

static void write_error(const struct flag_result *result, const char *room, struct str *out) {
    str_add_slice(out, SLICE_LIT("\",\"errorCode\":\""));
    str_add_text(out, flag_error_name((enum flag_error)result->error));
    str_add_slice(out, SLICE_LIT("\",\"errorDetails\":"));
    write_details(result, room, out);
}

/* FLAG_NO_VARIANT: the caller's own default applies. A disabled flag has no say in that, except for keys whose clients take no answer without a value. */
static int32_t shown_variant(const struct ofrep *ofrep, const struct flag *flag, const struct flag_result *result) {
    bool off = result->reason == FLAG_IS_DISABLED;
    return off && ofrep->principal.materialise_defaults ? flag->default_variant : result->variant;
}

static void write_value(const struct ofrep *ofrep, const struct flag *flag, const struct flag_result *result,
                        struct str *out) {
    int32_t shown = shown_variant(ofrep, flag, result);
    str_add_slice(out, SLICE_LIT("\",\"reason\":\""));
    str_add_text(out, flag_reason_name((enum flag_reason)result->reason));
    if (shown == FLAG_NO_VARIANT) {
        str_add_slice(out, SLICE_LIT("\",\"variant\":\"\""));
        return;
    }
    const struct flag_variant *variant = &flag->variants[shown];
    str_add_slice(out, SLICE_LIT("\",\"value\":"));
    str_add_slice(out, variant->value);
    str_add_slice(out, SLICE_LIT(",\"variant\":"));
    str_add_json(out, variant->name.ptr, variant->name.len);
}

int ofrep_write_flag(const struct ofrep *ofrep, const struct flag *flag, struct str *out) {
    struct logic_scratch scratch;
    struct flag_result result;
    char room[FLAG_RESULT_ROOM] = "";
    flag_evaluate(flag, &ofrep->asked.attributes, &scratch, NULL, room, &result);
    str_add_slice(out, SLICE_LIT("{\"key\":\""));
    str_add_slice(out, flag->key);
    if (result.error)
        write_error(&result, room, out);
    else
        write_value(ofrep, flag, &result, out);
    ofrep_write_metadata(ofrep, flag->metadata, flag->seq, out);
    str_add_char(out, '}');
    return result.error ? 400 : 200;
}

/* ---- agents ---- */

static bool is_off(const struct decision *decision) {
    return decision->version == &snapshot_disabled;
}

static bool was_targeted(const struct decision *decision) {
    for (uint32_t i = 0; decision->bound && i < decision->bound->flag_count; i++)
        if (decision->results[i].reason == FLAG_IS_TARGETED) return true;
    return false;
}

/* OpenFeature has fewer words than a decision. */
static const char *reason_of(const struct decision *decision) {
    switch (decision->reason) {
    case RESOLVE_PANIC:
        return is_off(decision) ? "DISABLED" : "STATIC";
    case RESOLVE_ROLLOUT:
        return "SPLIT";
    case RESOLVE_SESSION:
    case RESOLVE_OVERRIDE:
        return "TARGETING_MATCH";
    default:
        return was_targeted(decision) ? "TARGETING_MATCH" : "STATIC";
    }
}

static void write_config(const struct decision *decision, struct str *out) {
    str_add_slice(out, SLICE_LIT("\",\"reason\":\""));
    str_add_text(out, reason_of(decision));
    if (is_off(decision)) {
        str_add_slice(out, SLICE_LIT("\",\"variant\":\"\""));
        return;
    }
    str_add_slice(out, SLICE_LIT("\",\"value\":"));
    decision_write_config(decision, out);
    str_add_slice(out,
                  decision->candidate ? SLICE_LIT(",\"variant\":\"candidate\"") : SLICE_LIT(",\"variant\":\"stable\""));
}

static void write_standing(const struct ofrep *ofrep, const struct decision *decision, struct str *out) {
    char hash[HASH_TEXT_SIZE], unit[UNIT_TEXT_SIZE];
    str_add_slice(out, SLICE_LIT(",\"metadata\":{"));
    if (!is_off(decision)) {
        sha256_text(&decision->version->config_hash, hash);
        str_printf(out, "\"config_hash\":\"%s\",", hash);
    }
    str_printf(out, "\"position\":\"%s\",", decision->position.ptr);
    if (decision->rollout)
        str_printf(out, "\"rollout\":\"%.*s\",", (int)decision->rollout->id.len, decision->rollout->id.ptr);
    if (decision_unit(decision, unit)) str_printf(out, "\"unit\":\"%s\",", unit);
    str_add_slice(out, SLICE_LIT("\"version\":\""));
    str_add_int(out, decision->version->number);
    str_add_slice(out, ofrep->set);
    str_add_char(out, '}');
}

int ofrep_write_agent(const struct ofrep *ofrep, struct slice agent, struct decision *ret, struct str *out) {
    struct resolve_question question = {
        .agent = agent,
        .environment = ofrep->environment,
        .targeting_key = ofrep->asked.key,
        .session_started_at = asked_session(ofrep->api, &ofrep->asked),
        .attributes = &ofrep->asked.attributes,
        .now = ofrep->asked.attributes.timestamp,
    };
    int r = resolve(ofrep->snapshot, &question, ret);
    if (r > 0) return r;
    str_add_slice(out, SLICE_LIT("{\"key\":\"" FLAG_AGENT_PREFIX));
    str_add_slice(out, agent);
    write_config(ret, out);
    write_standing(ofrep, ret, out);
    return 0;
}
