/* SPDX-License-Identifier: Apache-2.0 */
/* Flags in a few words, for tests: JSON is written with ' for ". What is wrong ends the test. */
#ifndef SERIN_FLAGS_TEST_KIT_H
#define SERIN_FLAGS_TEST_KIT_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "flags/flags.h"

#include <string.h>

/* A new reference. */
static inline json_t *json_of(const char *text) {
    char *copy = strdup(text);
    json_t *json = NULL;
    struct err err = ERR_INIT;
    for (char *at = copy; (at = strchr(at, '\''));)
        *at = '"';
    if (json_parse(copy, strlen(copy), JSON_DEPTH_MAX, &json, &err) < 0) fail_msg("%s: %s", text, err.message);
    free(copy);
    return json;
}

struct flag_texts {
    const char *definition, *bindings, *evaluators, *metadata; /* NULL: none */
};

/* 0, or the failure with its faults. */
static inline int try_flag(const struct flag_texts *texts, struct flag **ret, struct faults *faults, struct err *err) {
    json_t *definition = json_of(texts->definition), *bindings = texts->bindings ? json_of(texts->bindings) : NULL,
           *evaluators = texts->evaluators ? json_of(texts->evaluators) : NULL,
           *metadata = texts->metadata ? json_of(texts->metadata) : NULL;
    struct flag_source source = {"web_search", definition, bindings, "", "/bindings", evaluators, metadata};
    int r = flag_new(&source, ret, faults, err);
    json_decref(definition);
    json_decref(bindings);
    json_decref(evaluators);
    json_decref(metadata);
    return r;
}

static inline struct flag *flag_with(const struct flag_texts *texts) {
    struct faults faults = FAULTS_INIT;
    struct flag *flag = NULL;
    struct err err = ERR_INIT;
    if (try_flag(texts, &flag, &faults, &err) < 0)
        fail_msg("%s: %s %s", texts->definition, err.message, faults.count ? faults.items[0].message : "");
    faults_deinit(&faults);
    return flag;
}

static inline struct flag *flag_of(const char *definition) {
    return flag_with(&(struct flag_texts){.definition = definition});
}

#define ON_OFF "'state':'ENABLED','variants':{'on':true,'off':false},'defaultVariant':'off'"

#endif
