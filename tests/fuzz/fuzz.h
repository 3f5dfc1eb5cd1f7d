/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one function over bytes from outside; it must neither crash nor break the property that it states. `make
 * fuzz` links it with libFuzzer; every build links it with replay.c, which runs the kept corpus as a test.
 */
#ifndef SERIN_TESTS_FUZZ_H
#define SERIN_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that does not hold. */
#define FUZZ_MUST(property)                                                                                            \
    do {                                                                                                               \
        if (!(property)) {                                                                                             \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #property);                               \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
