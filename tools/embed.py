#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a file into a C array, so that the binary carries it: embed.py NAME INPUT OUTPUT.

OUTPUT defines `const char NAME[]` (ended by a NUL that does not count) and `const size_t NAME_len`.
"""
import sys


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    name, source, target = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    rows = [", ".join(str(byte if byte < 128 else byte - 256) for byte in data[i : i + 24]) + "," for i in range(0, len(data), 24)]
    with open(target, "w", encoding="ascii") as file:
        file.write("#include <stddef.h>\n")
        file.write(f"extern const char {name}[];\nextern const size_t {name}_len;\n")
        file.write(f"const char {name}[] = {{\n" + "\n".join(rows) + "\n0};\n")
        file.write(f"const size_t {name}_len = {len(data)};\n")


if __name__ == "__main__":
    main()
