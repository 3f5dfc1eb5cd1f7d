/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes of a query, with a double of http that has the arguments. */
#include "api/api_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ARGUMENTS 256

struct http_request {
    struct {
        const char *name, *value;
    } arguments[ARGUMENTS];
    size_t count;
};

int http_query_each(const struct http_request *request, int (*each)(void *ctx, const char *name, const char *value),
                    void *ctx) {
    for (size_t i = 0; i < request->count; i++) {
        int r = each(ctx, request->arguments[i].name, request->arguments[i].value);
        if (r != 0) return r;
    }
    return 0;
}

static void write_value(struct str *out, const struct logic_value *value) {
    if (value->type == LOGIC_TEXT) {
        str_add_json(out, value->text, value->count);
        return;
    }
    assert_int_equal(value->type, LOGIC_OBJECT);
    str_add_char(out, '{');
    for (uint32_t i = 0; i < value->count; i++) {
        if (i) str_add_char(out, ',');
        str_add_json(out, value->members[i].name.ptr, value->members[i].name.len);
        str_add_char(out, ':');
        write_value(out, &value->members[i].value);
    }
    str_add_char(out, '}');
}

/* With the memory that was said to be enough. */
static void expect(struct http_request *request, const char *want) {
    size_t size = query_attributes_size(request);
    void *memory = malloc(size);
    struct logic_context context;
    struct str text = STR_INIT;
    assert_non_null(memory);
    assert_true(query_attributes(request, memory, size, &context));
    assert_null(context.flag_key.ptr);
    write_value(&text, &context.data);
    assert_string_equal(text.data, want);
    str_deinit(&text);
    free(memory);
}

static void test_names(void **state) {
    struct http_request none = {.count = 0};
    expect(&none, "{}");
    struct http_request flat = {.arguments = {{"environment", "production"},
                                              {"key", "u-1"},
                                              {"attr.plan", "pro"},
                                              {"explain", "true"},
                                              {"attr.country", ""}},
                                .count = 5};
    expect(&flat, "{\"targetingKey\":\"u-1\",\"plan\":\"pro\",\"country\":\"\"}");
    struct http_request deep = {.arguments = {{"attr.company.size", "50"},
                                              {"attr.plan", "pro"},
                                              {"session.started_at", "now"},
                                              {"attr.company.name.short", "S"},
                                              {"session.id", "s-1"},
                                              {"attr.company.name.long", "Serin"},
                                              {"attr.companion", "x"}},
                                .count = 7};
    expect(&deep, "{\"company\":{\"size\":\"50\",\"name\":{\"short\":\"S\",\"long\":\"Serin\"}},\"plan\":\"pro\","
                  "\"session\":{\"started_at\":\"now\",\"id\":\"s-1\"},\"companion\":\"x\"}");
}

static void test_odd_names(void **state) {
    struct http_request first = {
        .arguments = {{"attr.a", "1"}, {"attr.a", "2"}, {"attr.a.b", "3"}, {"attr.c.d", "4"}, {"attr.c", "5"}},
        .count = 5};
    expect(&first, "{\"a\":\"1\",\"c\":{\"d\":\"4\"}}");
    struct http_request dots = {.arguments = {{"attr.", "1"}, {"attr..", "2"}, {"attr.a.", "3"}, {"attr", "4"}},
                                .count = 4};
    expect(&dots, "{\"\":\"1\",\"a\":{\"\":\"3\"}}");
    struct http_request deep = {.arguments = {{"attr.1.2.3.4.5.6.7.8.9.10", "x"}}, .count = 1};
    expect(&deep, "{\"1\":{\"2\":{\"3\":{\"4\":{\"5\":{\"6\":{\"7\":{\"8\":{\"9.10\":\"x\"}}}}}}}}}");
}

/* However little memory there is: an answer, or a no. */
static void test_memory_ends(void **state) {
    struct http_request request = {
        .arguments = {{"attr.a.b.c", "1"}, {"attr.a.b.d", "2"}, {"attr.e", "3"}, {"key", "4"}}, .count = 4};
    size_t enough = query_attributes_size(&request), refused = 0;
    for (size_t size = 0; size <= enough; size++) {
        void *memory = malloc(size ? size : 1);
        struct logic_context context;
        assert_non_null(memory);
        refused += !query_attributes(&request, memory, size, &context);
        free(memory);
    }
    assert_true(refused > 0 && refused < enough);
}

/* As many as a request may have, each in the deepest way. */
static void test_many(void **state) {
    static char names[ARGUMENTS][40];
    struct http_request request = {.count = ARGUMENTS};
    for (size_t i = 0; i < ARGUMENTS; i++) {
        snprintf(names[i], sizeof(names[i]), "attr.%zu.a.b.c.d.e.f.%zu", i % 100, i);
        request.arguments[i].name = names[i];
        request.arguments[i].value = "x";
    }
    size_t size = query_attributes_size(&request);
    void *memory = malloc(size);
    struct logic_context context;
    assert_true(query_attributes(&request, memory, size, &context));
    assert_int_equal(context.data.count, 100);
    free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_memory_ends),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
