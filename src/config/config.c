/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings are loaded into a struct of their own, from the lowest source to the highest, so that each source simply
 * overwrites what the one before left; only when all of them were without fault does the result take the place of what was
 * in force. That is why a reload cannot leave half of the new settings behind.
 *
 * A value of a lower source is checked even when a higher one overrides it: a typing error in the file would otherwise
 * come to light on the day on which the variable that hid it is removed.
 */
#include "config/config.h"

#include "base/file.h"
#include "base/suggest.h"
#include "config/toml.h"

#include <stdio.h>
#include <string.h>

#define FILE_LIMIT (64 * 1024)
#define VARIABLE_START "SERIN_"

/* clang-format off */
#define AS_TEXT SETTING_TEXT, NULL
#define AS_INT SETTING_INT, NULL
#define AS_CHOICE(words) SETTING_CHOICE, words
static const struct setting table[SETTING_COUNT_] = {
#define SETTING(id, name, type, preset, min, max, reload, doc) \
    [SETTING_##id] = {name, AS_##type, preset, min, max, reload, doc},
#include "config/config.def"
#undef SETTING
};
/* clang-format on */

/* Variables of the same form that are no settings: for the command line, and for the first start. */
static const char *const foreign_variables[] = {"SERIN_URL", "SERIN_KEY", "SERIN_BOOTSTRAP_KEY"};

struct value {
    const char *text;
    int64_t number;
    enum setting_source source;
};

struct config {
    struct config_sources sources;
    struct arena arena;
    struct value values[SETTING_COUNT_];
};

struct place {
    const char *name; /* file, variable or flag */
    unsigned line, column;
};

const struct setting *setting_get(enum setting_id id) {
    return &table[id];
}

static char upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

void setting_flag(const struct setting *setting, char ret[SETTING_NAME_SIZE]) {
    snprintf(ret, SETTING_NAME_SIZE, "--%s", setting->name);
    for (char *p = ret; *p; p++)
        if (*p == '_') *p = '-';
}

void setting_variable(const struct setting *setting, char ret[SETTING_NAME_SIZE]) {
    snprintf(ret, SETTING_NAME_SIZE, VARIABLE_START "%s", setting->name);
    for (char *p = ret; *p; p++)
        *p = upper(*p);
}

static void tell(struct faults *faults, struct place place, const char *message) {
    struct fault *fault = faults_add(faults, place.name, "%s", message);
    if (!fault) return;
    fault->line = place.line;
    fault->column = place.column;
}

static bool is_choice(const char *choices, const char *word) {
    size_t len = strlen(word);
    for (const char *p = choices; *p; p += strspn(p, " ")) {
        size_t size = strcspn(p, " ");
        if (size == len && !memcmp(p, word, size)) return true;
        p += size;
    }
    return false;
}

/* Says what the setting takes. */
static void tell_expected(const struct setting *setting, struct place place, struct faults *faults) {
    char message[256];
    switch (setting->type) {
    case SETTING_TEXT:
        snprintf(message, sizeof(message), "%s must be a text of %lld to %lld bytes", setting->name,
                 (long long)setting->min, (long long)setting->max);
        break;
    case SETTING_INT:
        snprintf(message, sizeof(message), "%s must be a whole number from %lld to %lld", setting->name,
                 (long long)setting->min, (long long)setting->max);
        break;
    case SETTING_CHOICE:
        snprintf(message, sizeof(message), "%s must be one of: %s", setting->name, setting->choices);
        break;
    }
    tell(faults, place, message);
}

/* Reads the text form of a value; false when the setting does not take it. */
static bool value_read(const struct setting *setting, const char *text, struct value *ret) {
    int64_t len = (int64_t)strlen(text);
    ret->text = text;
    switch (setting->type) {
    case SETTING_TEXT:
        return len >= setting->min && len <= setting->max && utf8_valid(text, (size_t)len);
    case SETTING_INT:
        return text_to_int(text, setting->min, setting->max, &ret->number);
    case SETTING_CHOICE:
        return is_choice(setting->choices, text);
    }
    return false;
}

static void set_value(struct config *config, enum setting_id id, const char *text, enum setting_source source,
                      struct place place, struct faults *faults) {
    struct value value = {.source = source};
    if (!value_read(&table[id], text, &value)) {
        tell_expected(&table[id], place, faults);
        return;
    }
    config->values[id] = value;
}

static void set_entry(struct config *config, enum setting_id id, const struct toml_entry *entry, const char *file,
                      struct faults *faults) {
    struct place place = {file, entry->line, entry->column};
    enum toml_type wanted = table[id].type == SETTING_INT ? TOML_INT : TOML_TEXT;
    if (entry->type != wanted) {
        tell_expected(&table[id], place, faults);
        return;
    }
    set_value(config, id, entry->text, SETTING_FILE, place, faults);
}

static bool find_setting(const char *name, enum setting_id *ret) {
    for (unsigned id = 0; id < SETTING_COUNT_; id++)
        if (!strcmp(table[id].name, name)) {
            *ret = (enum setting_id)id;
            return true;
        }
    return false;
}

static void tell_unknown(struct faults *faults, struct place place, const char *what, const char *word,
                         const char *best) {
    char message[256];
    snprintf(message, sizeof(message), "unknown %s %.64s%s%s%s", what, word, best ? "; did you mean " : "",
             best ? best : "", best ? "?" : "");
    tell(faults, place, message);
}

static int load_file(struct config *config, const char *file, struct faults *faults, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    struct toml_file parsed;
    int r = file_read(file, FILE_LIMIT, &text, NULL, err);
    if (r < 0) return r;
    r = toml_parse(str_slice(&text), file, &config->arena, faults, &parsed, err);
    if (r < 0) return r;
    for (size_t i = 0; i < parsed.count; i++) {
        const struct toml_entry *entry = &parsed.entries[i];
        enum setting_id id;
        if (find_setting(entry->key, &id)) {
            set_entry(config, id, entry, file, faults);
            continue;
        }
        struct suggestion near = SUGGESTION_INIT(entry->key);
        for (id = 0; id < SETTING_COUNT_; id++)
            suggestion_try(&near, table[id].name);
        tell_unknown(faults, (struct place){file, entry->line, entry->column}, "setting", entry->key, near.best);
    }
    return 0;
}

static bool find_variable(const char *name, enum setting_id *ret) {
    char variable[SETTING_NAME_SIZE];
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        setting_variable(&table[id], variable);
        if (strcmp(variable, name)) continue;
        *ret = (enum setting_id)id;
        return true;
    }
    return false;
}

/* A near miss of a setting's variable is a typing error; anything else belongs to somebody else. */
static void check_stray_variable(const char *name, struct faults *faults) {
    char variables[SETTING_COUNT_][SETTING_NAME_SIZE];
    struct suggestion near = SUGGESTION_INIT(name + strlen(VARIABLE_START));
    for (size_t i = 0; i < ARRAY_LEN(foreign_variables); i++)
        if (!strcmp(foreign_variables[i], name)) return;
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        setting_variable(&table[id], variables[id]);
        suggestion_try(&near, variables[id] + strlen(VARIABLE_START));
    }
    if (near.best)
        tell_unknown(faults, (struct place){name, 0, 0}, "variable", name, near.best - strlen(VARIABLE_START));
}

static int load_variable(struct config *config, const char *variable, struct faults *faults, struct err *err) {
    const char *equals = strchr(variable, '=');
    enum setting_id id;
    if (!equals || strncmp(variable, VARIABLE_START, strlen(VARIABLE_START))) return 0;
    char *name = arena_strndup(&config->arena, variable, (size_t)(equals - variable));
    if (!name) return err_no_memory(err);
    if (find_variable(name, &id))
        set_value(config, id, equals + 1, SETTING_ENVIRONMENT, (struct place){name, 0, 0}, faults);
    else
        check_stray_variable(name, faults);
    return 0;
}

static int load_environment(struct config *config, struct faults *faults, struct err *err) {
    for (char *const *variable = config->sources.environment; variable && *variable; variable++) {
        int r = load_variable(config, *variable, faults, err);
        if (r < 0) return r;
    }
    return 0;
}

/* A flag of the command line: its name without "=value", and its value. */
struct flag {
    const char *name, *value;
};

/* Reads the flag at argv[*index] and moves the index behind it; 1 when there is a fault. */
static int next_flag(struct config *config, int *index, struct flag *ret, struct faults *faults, struct err *err) {
    const struct config_sources *sources = &config->sources;
    const char *word = sources->argv[(*index)++], *equals = strchr(word, '=');
    *ret = (struct flag){word, equals ? equals + 1 : NULL};
    if (strncmp(word, "--", 2)) {
        tell(faults, (struct place){word, 0, 0}, "not expected here; settings are written --name VALUE");
        return 1;
    }
    if (equals) {
        ret->name = arena_strndup(&config->arena, word, (size_t)(equals - word));
        return ret->name ? 0 : err_no_memory(err);
    }
    if (*index < sources->argc) ret->value = sources->argv[(*index)++];
    return 0;
}

static bool find_flag(const char *name, enum setting_id *ret) {
    char flag[SETTING_NAME_SIZE];
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        setting_flag(&table[id], flag);
        if (strcmp(flag, name)) continue;
        *ret = (enum setting_id)id;
        return true;
    }
    return false;
}

static void tell_unknown_flag(const char *name, struct faults *faults) {
    char flags[SETTING_COUNT_][SETTING_NAME_SIZE];
    struct suggestion near = SUGGESTION_INIT(name);
    suggestion_try(&near, "--settings");
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        setting_flag(&table[id], flags[id]);
        suggestion_try(&near, flags[id]);
    }
    tell_unknown(faults, (struct place){name, 0, 0}, "option", name, near.best);
}

static int load_flags(struct config *config, const char **settings_file, struct faults *faults, struct err *err) {
    for (int i = 0; i < config->sources.argc;) {
        struct flag flag;
        enum setting_id id = 0;
        int r = next_flag(config, &i, &flag, faults, err);
        if (r < 0) return r;
        if (r > 0) continue;
        bool names_file = !strcmp(flag.name, "--settings");
        if (!names_file && !find_flag(flag.name, &id))
            tell_unknown_flag(flag.name, faults);
        else if (!flag.value)
            tell(faults, (struct place){flag.name, 0, 0}, "a value is missing behind it");
        else if (names_file)
            *settings_file = flag.value;
        else
            set_value(config, id, flag.value, SETTING_FLAG, (struct place){flag.name, 0, 0}, faults);
    }
    return 0;
}

static void load_defaults(struct config *config) {
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        struct value value = {0};
        value_read(&table[id], table[id].preset, &value);
        config->values[id] = value;
    }
}

static int first_fault(enum err_code code, const struct faults *faults, struct err *err) {
    if (faults->failed || faults->count == 0) return err_no_memory(err);
    const struct fault *fault = &faults->items[0];
    int r = err_set(err, code, "%s", fault->message);
    err_at(err, "%s", fault->at);
    err_position(err, fault->line, fault->column);
    return r;
}

static bool has_faults(const struct faults *faults) {
    return faults->errors || faults->failed;
}

/* The flags are read twice: first for the name of the file, which ranks below them, then to overwrite what it said. */
static int load_sources(struct config *config, struct faults *faults, struct err *err) {
    const char *file = NULL;
    int r = load_flags(config, &file, faults, err);
    if (r < 0) return r;
    if (has_faults(faults)) return first_fault(ERR_USAGE, faults, err);
    load_defaults(config);
    if (file) r = load_file(config, file, faults, err);
    if (r < 0) return r;
    r = load_environment(config, faults, err);
    if (r < 0) return r;
    if (has_faults(faults)) return first_fault(ERR_CONFIG, faults, err);
    return load_flags(config, &file, faults, err);
}

int config_load(const struct config_sources *sources, struct config **ret, struct faults *faults, struct err *err) {
    _cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));
    if (!config) return err_no_memory(err);
    config->sources = *sources;
    int r = load_sources(config, faults, err);
    if (r < 0) return r;
    *ret = TAKE_PTR(config);
    return 0;
}

int config_reload(struct config *config, struct str *restart, struct faults *faults, struct err *err) {
    _cleanup_(config_freep) struct config *fresh = NULL;
    int r = config_load(&config->sources, &fresh, faults, err);
    if (r < 0) return r;
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        struct value *old = &config->values[id], *value = &fresh->values[id];
        if (table[id].reload || !strcmp(old->text, value->text)) continue;
        if (restart->len) str_add_text(restart, ", ");
        str_add_text(restart, table[id].name);
        value->source = old->source;
        value->number = old->number;
        value->text = arena_strdup(&fresh->arena, old->text);
        if (!value->text) return err_no_memory(err);
    }
    struct config old = *config;
    *config = *fresh;
    *fresh = old;
    return 0;
}

struct config *config_free(struct config *config) {
    if (!config) return NULL;
    arena_deinit(&config->arena);
    free(config);
    return NULL;
}

const char *config_text(const struct config *config, enum setting_id id) {
    return config->values[id].text;
}

int64_t config_int(const struct config *config, enum setting_id id) {
    return config->values[id].number;
}

enum setting_source config_source(const struct config *config, enum setting_id id) {
    return config->values[id].source;
}

void config_fault_text(const struct fault *fault, struct str *out) {
    str_add_text(out, fault->at);
    if (fault->line) str_printf(out, ":%u", fault->line);
    if (fault->line && fault->column) str_printf(out, ":%u", fault->column);
    str_printf(out, ": %s", fault->message);
}
