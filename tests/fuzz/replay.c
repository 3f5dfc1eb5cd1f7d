/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of a folder. */
#include "base/mem.h"
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

#define INPUT_MAX (1024 * 1024)

static int replay(const char *folder, const char *name) {
    char path[4096];
    uint8_t *bytes = malloc(INPUT_MAX);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!bytes || !file) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    size_t size = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    /* An own block of just that size, so that a sanitizer sees the first byte past the end. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) exit(1);
    memcpy(exact, bytes, size);
    free(bytes);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

int main(int argc, char **argv) {
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    int count = 0;
    if (!folder) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (entry->d_name[0] != '.') count += replay(argv[1], entry->d_name);
    closedir(folder);
    printf("%d inputs\n", count);
    return count == 0;
}
