/* SPDX-License-Identifier: Apache-2.0 */
#include "model/names.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SIXTY_THREE "a23456789012345678901234567890123456789012345678901234567890123"

static void test_valid(void **state) {
    static const char *const good[] = {"a", "0", "support", "billing-triage", "a--b", "x1", "1x", "42", SIXTY_THREE};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (!name_valid(slice_of(good[i]))) fail_msg("\"%s\" was refused", good[i]);
    }
}

static void test_invalid(void **state) {
    static const char *const bad[] = {
        "",   "-",  "-a",  "a-",  "A",    "Support", "a_b",  "a.b",           "a b",
        " a", "a ", "a/b", "a@b", "café", "a\n",     "\xff", SIXTY_THREE "4",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (name_valid(slice_of(bad[i]))) fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_false(name_valid((struct slice){"a\0b", 3}));
    assert_false(name_valid((struct slice){NULL, 0}));
}

/* Every byte in every place, against the rule written as plainly as can be. */
static void test_every_byte(void **state) {
    for (unsigned c = 0; c < 256; c++) {
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        char alone[1] = {(char)c}, inside[3] = {'a', (char)c, 'b'};
        assert_int_equal(name_valid((struct slice){alone, 1}), alnum);
        assert_int_equal(name_valid((struct slice){inside, 3}), alnum || c == '-');
    }
}

static void check_message(const char *name, const char *part) {
    struct err err = ERR_INIT;

    assert_int_equal(name_check("agent", name, "/agent", &err), -ERR_INVALID);
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.at, "/agent");
    assert_non_null(strstr(err.message, "agent name"));
    if (!strstr(err.message, part)) fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    assert_true(utf8_valid(err.message, strlen(err.message)));
    assert_non_null(strstr(err_remedy_text(&err), "a-z"));
}

static void test_check(void **state) {
    struct err err = ERR_INIT;

    assert_int_equal(name_check("agent", "support", "agent", &err), 0);
    assert_int_equal(err.code, ERR_NONE);
    check_message("", "is empty");
    check_message("-a", "begins with a hyphen");
    check_message("a-", "ends with a hyphen");
    check_message("Support", "\"Support\"");
    check_message("Support", "character other than");
    check_message(SIXTY_THREE "4", "longer than 63");
    check_message("a\xff\x01", "\\xff\\x01");
    assert_int_equal(name_check("agent", "A", "agent", NULL), -ERR_INVALID);
}

static void test_ref_number(void **state) {
    struct version_ref ref;
    struct err err = ERR_INIT;

    assert_int_equal(version_ref_parse("42", &ref, &err), 0);
    assert_int_equal(ref.kind, VERSION_REF_NUMBER);
    assert_int_equal(ref.number, 42);
    assert_int_equal(version_ref_parse("1", &ref, &err), 0);
    assert_int_equal(ref.number, 1);
    assert_int_equal(version_ref_parse("9223372036854775807", &ref, &err), 0);
    assert_true(ref.number == INT64_MAX);
}

static void test_ref_latest(void **state) {
    struct version_ref ref;

    assert_int_equal(version_ref_parse("latest", &ref, NULL), 0);
    assert_int_equal(ref.kind, VERSION_REF_LATEST);
    assert_int_equal(version_ref_parse("latest2", &ref, NULL), 0);
    assert_int_equal(ref.kind, VERSION_REF_ENVIRONMENT);
}

static void test_ref_environment(void **state) {
    struct version_ref ref;

    assert_int_equal(version_ref_parse("production", &ref, NULL), 0);
    assert_int_equal(ref.kind, VERSION_REF_ENVIRONMENT);
    assert_string_equal(ref.environment, "production");
    assert_int_equal(version_ref_parse(SIXTY_THREE, &ref, NULL), 0);
    assert_string_equal(ref.environment, SIXTY_THREE);
    assert_int_equal(version_ref_parse("sha256", &ref, NULL), 0);
    assert_int_equal(ref.kind, VERSION_REF_ENVIRONMENT);
    assert_int_equal(version_ref_parse("4a", &ref, NULL), 0);
    assert_int_equal(ref.kind, VERSION_REF_ENVIRONMENT);
}

static void test_ref_hash(void **state) {
    static const char full[] = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct version_ref ref;

    assert_int_equal(version_ref_parse("sha256:1f2e3d4c", &ref, NULL), 0);
    assert_int_equal(ref.kind, VERSION_REF_HASH);
    assert_string_equal(ref.hash, "1f2e3d4c");
    assert_int_equal(version_ref_parse(full, &ref, NULL), 0);
    assert_string_equal(ref.hash, full + 7);
}

static void ref_refused(const char *text, const char *part) {
    struct version_ref ref = {.kind = VERSION_REF_HASH, .number = 77};
    struct err err = ERR_INIT;

    assert_int_equal(version_ref_parse(text, &ref, &err), -ERR_BAD_REQUEST);
    if (!strstr(err.message, part)) fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    assert_non_null(strstr(err_remedy_text(&err), "latest"));
    assert_int_equal(ref.number, 77);
}

static void test_ref_refused(void **state) {
    ref_refused("", "none of the ways");
    ref_refused("0", "no version number");
    ref_refused("-1", "none of the ways");
    ref_refused("9223372036854775808", "no version number");
    ref_refused("99999999999999999999999999999", "no version number");
    ref_refused("4 2", "none of the ways");
    ref_refused("Latest", "none of the ways");
    ref_refused("sha256:1f2e3d4", "fewer than 8");
    ref_refused("sha256:", "fewer than 8");
    ref_refused("sha256:1F2E3D4C", "lower-case");
    ref_refused("sha256:1f2e3d4g", "lower-case");
    ref_refused("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0", "more than the 64");
    ref_refused("SHA256:1f2e3d4c", "none of the ways");
    ref_refused("prod\xff", "\\xff");
    ref_refused("a@b", "none of the ways");
}

static void test_spec(void **state) {
    char agent[NAME_MAX_LEN + 1];
    struct version_ref ref;
    bool stated;

    assert_int_equal(version_spec_parse("support@42", agent, &ref, &stated, NULL), 0);
    assert_string_equal(agent, "support");
    assert_int_equal(ref.kind, VERSION_REF_NUMBER);
    assert_int_equal(ref.number, 42);
    assert_true(stated);

    assert_int_equal(version_spec_parse("billing-triage@production", agent, &ref, &stated, NULL), 0);
    assert_string_equal(agent, "billing-triage");
    assert_string_equal(ref.environment, "production");

    assert_int_equal(version_spec_parse("support", agent, &ref, &stated, NULL), 0);
    assert_string_equal(agent, "support");
    assert_int_equal(ref.kind, VERSION_REF_LATEST);
    assert_false(stated);

    assert_int_equal(version_spec_parse("support@latest", agent, &ref, &stated, NULL), 0);
    assert_true(stated);
    assert_int_equal(version_spec_parse(SIXTY_THREE "@" SIXTY_THREE, agent, &ref, &stated, NULL), 0);
    assert_string_equal(agent, SIXTY_THREE);
}

static void test_spec_refused(void **state) {
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"", -ERR_INVALID},
        {"@42", -ERR_INVALID},
        {"Support@42", -ERR_INVALID},
        {SIXTY_THREE "4@1", -ERR_INVALID},
        {"support@", -ERR_BAD_REQUEST},
        {"support@42@43", -ERR_BAD_REQUEST},
        {"support@0", -ERR_BAD_REQUEST},
        {"support@sha256:12", -ERR_BAD_REQUEST},
    };
    char agent[NAME_MAX_LEN + 1] = "untouched";
    struct version_ref ref;
    bool stated;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        int r = version_spec_parse(rows[i].text, agent, &ref, &stated, &err);
        if (r != rows[i].code) fail_msg("\"%s\" answered %d", rows[i].text, r);
        assert_true(err.message[0] != '\0');
        assert_string_equal(agent, "untouched");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),           cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_every_byte),      cmocka_unit_test(test_check),
        cmocka_unit_test(test_ref_number),      cmocka_unit_test(test_ref_latest),
        cmocka_unit_test(test_ref_environment), cmocka_unit_test(test_ref_hash),
        cmocka_unit_test(test_ref_refused),     cmocka_unit_test(test_spec),
        cmocka_unit_test(test_spec_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
