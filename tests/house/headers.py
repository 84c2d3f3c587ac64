#!/usr/bin/env python3
"""Each public header stands alone: it compiles by itself, and twice in a row, without a warning, as strict C11 or as
C++17 (77 where there is no C++ compiler); and the version it tells is the project's.

    headers.py c INCLUDE_DIR VERSION CC...
    headers.py c++ INCLUDE_DIR VERSION
"""

import pathlib
import shutil
import subprocess
import sys

WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only"]
SHOWN_LINES = 12


def compiles(command, name, folder, version):
    text = f"#include <weft/{name}>\n#include <weft/{name}>\n"
    if name == "weft.h":
        text += f'extern int same[__builtin_strcmp(WEFT_VERSION, "{version}") == 0 ? 1 : -1];\n'
    result = subprocess.run([*command, *WARNINGS, "-I", str(folder), "-"], input=text, text=True, capture_output=True)
    if result.returncode:
        print(f"{name} does not stand alone: {' '.join(command)}")
        print("\n".join(result.stderr.splitlines()[:SHOWN_LINES]))
    return result.returncode == 0


def main(arguments):
    language, folder, version = arguments[0], pathlib.Path(arguments[1]), arguments[2]
    if language == "c":
        command = [*arguments[3:], "-x", "c", "-std=c11", "-Wpedantic"]
    else:
        # Not pedantic: C++ knows flexible array members as an extension only.
        cxx = shutil.which("g++") or shutil.which("clang++")
        if not cxx:
            print("skipped: no C++ compiler")
            return 77
        command = [cxx, "-x", "c++", "-std=c++17"]
    headers = sorted(path.name for path in (folder / "weft").glob("*.h"))
    good = [compiles(command, name, folder, version) for name in headers]
    print(f"{len(headers)} headers as {language}")
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
