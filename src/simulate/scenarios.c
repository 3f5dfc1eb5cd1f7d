/* SPDX-License-Identifier: Apache-2.0 */
#include "simulate/world.h"

#include <string.h>

/* clang-format off */
static const struct scenario table[] = {
#define SCENARIO(name, description, json) {name, description, json},
#include "simulate/scenarios.def"
#undef SCENARIO
};
/* clang-format on */

const struct scenario *scenarios(size_t *ret_count) {
    *ret_count = ARRAY_LEN(table);
    return table;
}

const struct scenario *scenario_find(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}
