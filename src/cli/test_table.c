/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands against the tables of operations and answers: what one names, the other must have. */
#include "cli/test_world.h"

#include <string.h>

#define EACH_COMMAND(command)                                                                                          \
    for (unsigned id_ = 0; id_ < COMMAND_COUNT_; id_++)                                                                \
        for (const struct command *command = command_get((enum command_id)id_); command; command = NULL)

static bool takes(const struct command *command, const char *param) {
    const struct arg *args[COMMAND_ARGS_MAX];
    size_t count = command_args(command, args);
    for (size_t i = 0; i < count; i++) {
        bool spec = args[i]->kind == ARG_SPEC && (!strcmp(param, "agent") || !strcmp(param, "version"));
        if (spec || !strcmp(args[i]->param, param)) return true;
    }
    return false;
}

/* Commands that ask something else than their parameters, and say so in code. */
static bool has_own_code(const struct command *command) {
    return command->run != run_answer && command->run != run_json && command->run != run_waited;
}

static void test_required_parameters_can_be_given(void **state) {
    EACH_COMMAND(command) {
        size_t count = 0;
        const struct op *op = has_own_code(command) ? NULL : command_op(command);
        const struct op_param *params = op ? op_params(op, &count) : NULL;
        for (size_t i = 0; i < count; i++)
            if (params[i].required && !takes(command, params[i].name))
                fail_msg("serin %s cannot give %s", command->words, params[i].name);
    }
}

/* What becomes the context of those operations that take one. */
static bool says_who(const char *param) {
    return !strcmp(param, "user") || !strcmp(param, "attr") || !strcmp(param, "context");
}

static void test_arguments_are_parameters(void **state) {
    EACH_COMMAND(command) {
        const struct arg *args[COMMAND_ARGS_MAX];
        size_t count = command_args(command, args);
        const struct op *op = has_own_code(command) ? NULL : command_op(command);
        for (size_t i = 0; op && i < count; i++) {
            bool known = op_param(op, args[i]->param) || args[i]->kind == ARG_SPEC || arg_is_global(args[i]) ||
                         args[i]->kind == ARG_WAIT || !strcmp(args[i]->param, "dry_run") ||
                         !strcmp(args[i]->param, "idempotency_key") ||
                         (op_param(op, "context") && says_who(args[i]->param));
            if (!known) fail_msg("serin %s: its operation has no parameter %s", command->words, args[i]->param);
        }
    }
}

static void test_options_are_told_apart(void **state) {
    EACH_COMMAND(command) {
        const struct arg *args[COMMAND_ARGS_MAX];
        size_t count = command_args(command, args);
        assert_true(count < COMMAND_ARGS_MAX);
        for (size_t i = 0; i < count; i++) {
            if (!*arg_doc(command, args[i])) fail_msg("serin %s: %s says nothing", command->words, args[i]->param);
            for (size_t j = 0; j < i; j++) {
                if (!args[i]->flag || !args[j]->flag) continue;
                if (!strcmp(args[i]->flag, args[j]->flag) || (args[i]->letter && args[i]->letter == args[j]->letter))
                    fail_msg("serin %s: %s and %s", command->words, args[i]->flag, args[j]->flag);
            }
        }
    }
}

/* Only the last positional argument may be given many times, and required ones come first. */
static void test_positional_order(void **state) {
    EACH_COMMAND(command) {
        const struct arg *args[COMMAND_ARGS_MAX];
        size_t count = command_args(command, args);
        for (size_t i = 1; i < count && !args[i]->flag; i++)
            if (args[i - 1]->count != ARG_ONE) fail_msg("serin %s: %s", command->words, args[i - 1]->metavar);
    }
}

static const struct answer_field *field_find(const char *schema, const char *name) {
    size_t count;
    const struct answer_field *fields = answer_fields(&count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(fields[i].schema, schema) && !strcmp(fields[i].name, name)) return &fields[i];
    return NULL;
}

/* The schema at a dotted path, "" for an object of any shape, NULL when the path is wrong. */
static const char *schema_at(const char *schema, const char *path, const struct answer_field **ret_last) {
    *ret_last = NULL;
    while (*path && *schema) {
        char name[64];
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        const struct answer_field *field = field_find(schema, name);
        if (!field) return NULL;
        *ret_last = field;
        schema = field->type == FIELD_REF || field->type == FIELD_LIST ? field->of : "";
        path += len + (path[len] == '.');
    }
    return schema;
}

/* The schemas that a command may answer with: deploy has two. */
static bool path_exists(const struct command *command, const char *block, const char *path) {
    const char *schemas[] = {command_op(command)->answer, command->id == COMMAND_deploy ? "release_change" : NULL};
    const struct answer_field *last;
    for (size_t i = 0; i < ARRAY_LEN(schemas) && schemas[i]; i++) {
        const char *schema = schema_at(schemas[i], block, &last);
        if (schema && schema_at(schema, path, &last)) return true;
    }
    return false;
}

static void check_template(const struct command *command, const char *template) {
    for (const char *p = template; (p = strchr(p, '{')); p++) {
        char path[64];
        snprintf(path, sizeof(path), "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        if (!path_exists(command, "", path)) fail_msg("serin %s: no %s in its answer", command->words, path);
    }
}

static void test_views_show_what_answers_have(void **state) {
    EACH_COMMAND(command) {
        size_t count;
        const char *block = "";
        const struct view_row *rows = command_view(command, &count);
        for (size_t i = 0; i < count; i++) {
            const char *path = rows[i].path + (rows[i].path[0] == '!');
            bool column = rows[i].type == VIEW_COLUMN;
            if (!path_exists(command, column ? block : "", path))
                fail_msg("serin %s: no %s in its answer", command->words, path);
            if (rows[i].type == VIEW_SAY) check_template(command, rows[i].title);
            if (rows[i].type == VIEW_FIELDS || rows[i].type == VIEW_TABLE) block = rows[i].path;
        }
        if ((command->run == run_answer || command->run == run_waited) && !count)
            fail_msg("serin %s shows nothing", command->words);
    }
}

static void test_every_command_explains_itself(void **state) {
    EACH_COMMAND(command) {
        size_t count;
        char line[64];
        const struct example *examples = command_examples(command, &count);
        if (!*command_summary(command)) fail_msg("serin %s has no summary", command->words);
        if (!count) fail_msg("serin %s has no example", command->words);
        snprintf(line, sizeof(line), "serin %s", command->words);
        for (size_t i = 0; i < count; i++)
            assert_has(examples[i].line, line);
    }
}

/* Examples without pipes or substitutions are command lines that the parser takes. */
static void test_examples_parse(void **state) {
    EACH_COMMAND(command) {
        size_t count;
        const struct example *examples = command_examples(command, &count);
        for (size_t i = 0; i < count; i++) {
            if (strpbrk(examples[i].line, "|<>\"*")) continue;
            char *copy = strdup(examples[i].line), *words[16], *rest;
            int argc = 0, used;
            struct arena arena = ARENA_INIT;
            struct args args;
            struct err err = ERR_INIT;
            assert_non_null(copy);
            for (char *word = strtok_r(copy, " ", &rest); word && argc < 16; word = strtok_r(NULL, " ", &rest))
                words[argc++] = word;
            assert_ptr_equal(command_find(argc - 1, words + 1, &used), command);
            if (args_parse(command, argc - 1 - used, words + 1 + used, &arena, &args, &err) < 0)
                fail_msg("%s: %s", examples[i].line, err.message);
            arena_deinit(&arena);
            free(copy);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_required_parameters_can_be_given),
        cmocka_unit_test(test_arguments_are_parameters),
        cmocka_unit_test(test_options_are_told_apart),
        cmocka_unit_test(test_positional_order),
        cmocka_unit_test(test_views_show_what_answers_have),
        cmocka_unit_test(test_every_command_explains_itself),
        cmocka_unit_test(test_examples_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
