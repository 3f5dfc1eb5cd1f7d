/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about models by their name. These are warnings: gateways rename models and drop parameters, and
 * providers change their minds. Each row was refused by the provider's own API when it was written, with an error
 * rather than by ignoring the parameter.
 */
#include "model/model_impl.h"

#include <string.h>

enum accepts { NOTHING, ONLY, AT_MOST };

static const struct refusal {
    const char *models; /* beginnings of model names, apart by spaces; "=name" is the whole name up to a date */
    const char *parameter;
    enum accepts accepts;
    double value; /* ONLY this one, or AT_MOST */
} refusals[] = {
    {"claude-opus-4-7 claude-opus-4-8", "temperature", NOTHING, 0},
    {"claude-opus-4-7 claude-opus-4-8", "top_p", NOTHING, 0},
    {"claude-opus-4-7 claude-opus-4-8", "top_k", NOTHING, 0},
    {"claude-", "temperature", AT_MOST, 1},
    {"claude-", "frequency_penalty", NOTHING, 0},
    {"claude-", "presence_penalty", NOTHING, 0},
    {"claude-", "seed", NOTHING, 0},
    {"claude-", "top_logprobs", NOTHING, 0},
    {"gpt- o1 o3 o4 chatgpt-", "top_k", NOTHING, 0},
    {"o1 o3 o4 =gpt-5 =gpt-5-mini =gpt-5-nano", "temperature", ONLY, 1},
    {"o1 o3 o4 =gpt-5 =gpt-5-mini =gpt-5-nano", "top_p", ONLY, 1},
    {"o1 o3 o4 =gpt-5 =gpt-5-mini =gpt-5-nano", "frequency_penalty", ONLY, 0},
    {"o1 o3 o4 =gpt-5 =gpt-5-mini =gpt-5-nano", "presence_penalty", ONLY, 0},
    {"o1 o3 o4 =gpt-5 =gpt-5-mini =gpt-5-nano", "top_logprobs", NOTHING, 0},
    {"o3 o4", "stop_sequences", NOTHING, 0},
    {"gpt-3.5 gpt-4", "reasoning", NOTHING, 0},
};

/* Models of Anthropic's that take one of temperature and top_p. */
static const char one_of_two[] = "claude-opus-4-1 claude-opus-4-5 claude-opus-4-6 claude-sonnet-4-5 claude-sonnet-4-6 "
                                 "claude-haiku-4-5";

/* Without what gateways put before it: "anthropic/claude-…", "us.anthropic.claude-…". */
static const char *bare_name(const char *id) {
    const char *slash = strrchr(id, '/'), *name = slash ? slash + 1 : id;
    const char *vendor = strstr(name, "anthropic.");
    return vendor ? vendor + strlen("anthropic.") : name;
}

/* A date or nothing: "gpt-5-2025-08-07" is gpt-5, "gpt-5-chat" is not. */
static bool is_date(const char *rest) {
    return *rest == '\0' || (rest[0] == '-' && rest[1] == '2' && rest[2] == '0');
}

static bool names_model(const char *models, const char *name) {
    while (*models) {
        size_t len = strcspn(models, " ");
        bool whole = *models == '=';
        const char *beginning = models + whole;
        size_t beginning_len = len - whole;
        bool begins = strncmp(name, beginning, beginning_len) == 0;
        if (begins && (!whole || is_date(name + beginning_len))) return true;
        models += len + (models[len] == ' ');
    }
    return false;
}

static bool refused(const struct refusal *refusal, const json_t *value) {
    if (refusal->accepts == NOTHING) return true;
    if (!json_is_number(value)) return false;
    double number = json_number_value(value);
    return refusal->accepts == AT_MOST ? number > refusal->value : number < refusal->value || number > refusal->value;
}

static void warn_refused(const struct refusal *refusal, const char *name, const struct place *place,
                         struct faults *faults) {
    char shown[SHOW_SIZE];

    show_text(name, shown);
    if (refusal->accepts == NOTHING) {
        place_warn(faults, place, "%s refuses requests with \"%s\"", shown, refusal->parameter);
        return;
    }
    place_warn(faults, place, "%s refuses a \"%s\" other than %s%g", shown, refusal->parameter,
               refusal->accepts == AT_MOST ? "from 0 to " : "", refusal->value);
}

static void warn_parameters(const char *name, const json_t *parameters, const struct place *place,
                            struct faults *faults) {
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        const struct refusal *refusal = &refusals[i];
        const json_t *value = json_get(parameters, refusal->parameter);
        const struct place at = {place, refusal->parameter, 0};
        if (value && names_model(refusal->models, name) && refused(refusal, value)) {
            warn_refused(refusal, name, &at, faults);
        }
    }
    if (names_model(one_of_two, name) && json_get(parameters, "temperature") && json_get(parameters, "top_p")) {
        char shown[SHOW_SIZE];
        const struct place at = {place, "top_p", 0};
        place_warn(faults, &at, "%s refuses \"temperature\" and \"top_p\" together; keep one", show_text(name, shown));
    }
}

/* "claude-3-5-sonnet-latest", "llama3:latest" */
static void warn_floating(const char *id, const struct place *place, struct faults *faults) {
    static const char word[] = "latest";
    size_t len = strlen(id), word_len = sizeof(word) - 1;
    char shown[SHOW_SIZE];

    if (len <= word_len || strcmp(id + len - word_len, word) != 0) return;
    if (!strchr("-:@", id[len - word_len - 1])) return;
    place_warn(faults, place,
               "\"%s\" names another model when the provider moves it, with no new version here; name the model with "
               "its date or number",
               show_text(id, shown));
}

static void warn_fallbacks(const json_t *model, const struct place *at_model, struct faults *faults) {
    const struct place at_list = {at_model, "fallbacks", 0};
    size_t i;
    json_t *fallback;

    json_array_foreach(json_get(model, "fallbacks"), i, fallback) {
        const struct place at = {&at_list, NULL, i}, at_id = {&at, "id", 0}, at_parameters = {&at, "parameters", 0};
        const char *id = json_get_text(fallback, "id");
        if (!id) continue;
        warn_floating(id, &at_id, faults);
        warn_parameters(bare_name(id), json_get(fallback, "parameters"), &at_parameters, faults);
    }
}

void config_warn_models(const json_t *config, struct faults *faults) {
    const struct place top = {0}, at_model = {&top, "model", 0}, at_id = {&at_model, "id", 0};
    const struct place at_parameters = {&top, "parameters", 0};
    const json_t *model = json_get(config, "model");
    bool text = json_is_string(model);
    const char *id = text ? json_string_value(model) : json_get_text(model, "id");

    if (!id) return;
    warn_floating(id, text ? &at_model : &at_id, faults);
    warn_parameters(bare_name(id), json_get(config, "parameters"), &at_parameters, faults);
    warn_fallbacks(model, &at_model, faults);
}
