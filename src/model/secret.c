/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Literals that look like a provider's secret. A configuration is kept for ever and shown to everybody who may
 * read it, so a key in it would have to be revoked; refusing it at the door is the only cure. Each form is a
 * fixed beginning and a least number of characters behind it, so that prose about keys ("sk-…", "begin
 * with AKIA") goes through.
 */
#include "model/model_impl.h"

#include <string.h>

enum charset { CHARS_BASE64URL, CHARS_ALNUM, CHARS_UPPER_ALNUM };

struct form {
    const char *prefix;
    enum charset chars;
    size_t least; /* characters that must follow */
    const char *kind;
};

/* The longer prefix of two that begin alike stands first. */
static const struct form forms[] = {
    {"sk-ant-", CHARS_BASE64URL, 20, "an Anthropic API key"},
    {"sk-or-", CHARS_BASE64URL, 20, "an OpenRouter API key"},
    {"sk-", CHARS_BASE64URL, 20, "an OpenAI API key"},
    {"AKIA", CHARS_UPPER_ALNUM, 16, "an AWS access key"},
    {"ASIA", CHARS_UPPER_ALNUM, 16, "an AWS access key"},
    {"AIza", CHARS_BASE64URL, 35, "a Google API key"},
    {"github_pat_", CHARS_BASE64URL, 22, "a GitHub token"},
    {"ghp_", CHARS_ALNUM, 30, "a GitHub token"},
    {"gho_", CHARS_ALNUM, 30, "a GitHub token"},
    {"ghs_", CHARS_ALNUM, 30, "a GitHub token"},
    {"ghu_", CHARS_ALNUM, 30, "a GitHub token"},
    {"ghr_", CHARS_ALNUM, 30, "a GitHub token"},
    {"glpat-", CHARS_BASE64URL, 20, "a GitLab token"},
    {"xoxb-", CHARS_BASE64URL, 10, "a Slack token"},
    {"xoxp-", CHARS_BASE64URL, 10, "a Slack token"},
    {"xoxa-", CHARS_BASE64URL, 10, "a Slack token"},
    {"xoxr-", CHARS_BASE64URL, 10, "a Slack token"},
    {"xoxs-", CHARS_BASE64URL, 10, "a Slack token"},
    {"sk_live_", CHARS_ALNUM, 16, "a Stripe key"},
    {"rk_live_", CHARS_ALNUM, 16, "a Stripe key"},
    {"hf_", CHARS_ALNUM, 30, "a Hugging Face token"},
};

static bool is_alnum(char c, bool lower_too) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (lower_too && c >= 'a' && c <= 'z');
}

static bool belongs(char c, enum charset chars) {
    if (chars == CHARS_UPPER_ALNUM) return is_alnum(c, false);
    if (chars == CHARS_ALNUM) return is_alnum(c, true);
    return is_alnum(c, true) || c == '-' || c == '_';
}

/* Looked at no further than this, so that a text of nothing but beginnings is read in linear time. */
#define RUN_MAX 128

static size_t run_length(struct slice text, enum charset chars) {
    size_t len = 0;
    while (len < text.len && len < RUN_MAX && belongs(text.ptr[len], chars)) {
        len++;
    }
    return len;
}

static bool begins_with(struct slice text, const char *prefix) {
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

static struct slice rest(struct slice text, size_t from) {
    return (struct slice){text.ptr + from, text.len - from};
}

/* A real key has digits or capitals among its characters; "sk-estimate-the-remaining-work" has not. */
static bool looks_random(struct slice text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (is_alnum(text.ptr[i], false)) return true;
    }
    return false;
}

static bool has_form(struct slice text, const struct form *form) {
    if (!begins_with(text, form->prefix)) return false;
    struct slice body = rest(text, strlen(form->prefix));
    size_t len = run_length(body, form->chars);
    return len >= form->least && looks_random(body, len);
}

/* -----BEGIN … PRIVATE KEY */
static bool is_private_key(struct slice text) {
    if (!begins_with(text, "-----BEGIN ")) return false;
    for (size_t i = 11; i < text.len && i < 64 && text.ptr[i] != '\n'; i++) {
        if (begins_with(rest(text, i), "PRIVATE KEY")) return true;
    }
    return false;
}

const char *secret_kind(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool word_begins = i == 0 || !is_alnum(text.ptr[i - 1], true);
        if (!word_begins || !strchr("-sArghx", c) || c == '\0') continue;
        struct slice from = rest(text, i);
        if (c == '-' && is_private_key(from)) return "a private key";
        for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
            if (has_form(from, &forms[f])) return forms[f].kind;
        }
    }
    return NULL;
}
