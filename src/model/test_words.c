/* SPDX-License-Identifier: Apache-2.0 */
/* Words and places: secrets, and pointers in messages. */
#include "model/model_impl.h"
#include "model/test_kit.h"

/* Put together at run time, so that no scanner takes this file for a leak. */
static const char *key_of(const char *prefix, const char *body, char ret[200]) {
    snprintf(ret, 200, "%s%s", prefix, body);
    return ret;
}

#define BODY "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9"

static void test_secrets(void **state) {
    static const struct {
        const char *prefix, *body, *kind;
    } rows[] = {
        {"sk-", BODY, "OpenAI"},
        {"sk-proj-", BODY, "OpenAI"},
        {"sk-ant-api03-", BODY, "Anthropic"},
        {"sk-or-v1-", BODY, "OpenRouter"},
        {"AKIA", "ABCDEFGHIJKLMNOP", "AWS"},
        {"ASIA", "ABCDEFGHIJKLMN12", "AWS"},
        {"AIza", BODY, "Google"},
        {"ghp_", BODY, "GitHub"},
        {"gho_", BODY, "GitHub"},
        {"ghs_", BODY, "GitHub"},
        {"ghu_", BODY, "GitHub"},
        {"ghr_", BODY, "GitHub"},
        {"github_pat_", BODY, "GitHub"},
        {"glpat-", BODY, "GitLab"},
        {"xoxb-", BODY, "Slack"},
        {"xoxp-", BODY, "Slack"},
        {"sk_live_", BODY, "Stripe"},
        {"rk_live_", BODY, "Stripe"},
        {"hf_", BODY, "Hugging Face"},
        {"-----BEGIN ", "PRIVATE KEY-----", "private key"},
        {"-----BEGIN RSA ", "PRIVATE KEY-----", "private key"},
        {"-----BEGIN OPENSSH ", "PRIVATE KEY-----", "private key"},
        {"-----BEGIN EC ", "PRIVATE KEY", "private key"},
    };
    char key[200], text[400];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        key_of(rows[i].prefix, rows[i].body, key);
        const char *kind = secret_kind(slice_of(key));
        if (!kind || !strstr(kind, rows[i].kind)) fail_msg("%s…: %s", rows[i].prefix, kind);
        snprintf(text, sizeof(text), "Use the key \"%s\", please.\n", key);
        if (!secret_kind(slice_of(text))) fail_msg("%s… inside a text", rows[i].prefix);
        snprintf(text, sizeof(text), "TOKEN=%s", key);
        if (!secret_kind(slice_of(text))) fail_msg("%s… after =", rows[i].prefix);
    }
}

static void test_no_secrets(void **state) {
    static const char *const rows[] = {
        "",
        "sk-",
        "sk-…",
        "keys look like sk-ant-… or sk-proj-…",
        "sk-estimate-the-remaining-work-please",
        "task-A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6",
        "AKIA",
        "an AKIA key has 20 characters",
        "AKIAabcdefghijklmnop",
        "xAKIAABCDEFGHIJKLMNOP",
        "AIza",
        "ghp_short1",
        "the ghp_ prefix",
        "hf_hub_download(repo_id, filename)",
        "xoxb-",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nPRIVATE KEY",
        "BEGIN PRIVATE KEY",
        "${secret:OPENAI_KEY}",
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *kind = secret_kind(slice_of(rows[i]));
        if (kind) fail_msg("\"%s\" is taken for %s", rows[i], kind);
    }
    assert_null(secret_kind((struct slice){NULL, 0}));
    assert_null(secret_kind((struct slice){"s\0k\0-", 5}));
}

/* Beginnings without an end are read in linear time: this takes a minute when it is quadratic. */
static void test_secret_scan_is_linear(void **state) {
    size_t len = 1024 * 1024;
    _cleanup_(freep) char *text = malloc(len);

    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        text[i] = "sk-"[i % 3];
    }
    assert_null(secret_kind((struct slice){text, len}));
}

static void test_secrets_are_not_shown(void **state) {
    char key[200], shown[SHOW_SIZE];

    show_text(key_of("sk-ant-", BODY, key), shown);
    assert_null(strstr(shown, "A1b2"));
    assert_non_null(strstr(shown, "not shown"));
}

static void pointer_is(const struct place *place, const char *expected) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    place_pointer(place, &out);
    assert_string_equal(out.data ? out.data : "", expected);
}

static void test_pointer(void **state) {
    struct place top = {0}, tools = {&top, "tools", 0}, item = {&tools, NULL, 12}, key = {&item, "a/b~c", 0};

    pointer_is(&top, "");
    pointer_is(&tools, "/tools");
    pointer_is(&item, "/tools/12");
    pointer_is(&key, "/tools/12/a~1b~0c");
}

static void test_pointer_that_begins_inside(void **state) {
    struct place top = {NULL, "/guardrails/pii", 0}, stage = {&top, "stage", 0};

    pointer_is(&top, "/guardrails/pii");
    pointer_is(&stage, "/guardrails/pii/stage");
}

static void test_pointer_ends_at_a_parent(void **state) {
    char long_key[2000], secret[200];
    struct place top = {0}, tools = {&top, "tools", 0};
    struct place too_long = {&tools, long_key, 0}, below = {&too_long, "x", 0}, far_below = {&below, "y", 0};
    struct place hidden = {&tools, secret, 0}, under = {&hidden, NULL, 3};

    memset(long_key, 'k', sizeof(long_key));
    long_key[sizeof(long_key) - 1] = '\0';
    key_of("sk-ant-", BODY, secret);
    pointer_is(&too_long, "/tools");
    pointer_is(&below, "/tools");
    pointer_is(&far_below, "/tools");
    pointer_is(&hidden, "/tools");
    pointer_is(&under, "/tools");
}

static void test_place_fault(void **state) {
    struct faults faults = FAULTS_INIT;
    struct place top = {0}, model = {&top, "model", 0};

    assert_non_null(place_fault(&faults, &model, "is %d of %s", 3, "them"));
    assert_non_null(place_warn(&faults, &top, "careful"));
    kit_faults("place", &faults, "/model: is 3 of them\nwarning : careful");
    assert_int_equal(faults.errors, 1);
    faults_deinit(&faults);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_no_secrets),
        cmocka_unit_test(test_secret_scan_is_linear),
        cmocka_unit_test(test_secrets_are_not_shown),
        cmocka_unit_test(test_pointer),
        cmocka_unit_test(test_pointer_that_begins_inside),
        cmocka_unit_test(test_pointer_ends_at_a_parent),
        cmocka_unit_test(test_place_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
