#!/usr/bin/env python3
"""The layers above the ports reach the outside world through their tables only: their objects reference no symbol of
the operating system (design, section 2). Also, every symbol a layer defines for others begins with weft_.

    purity.py NM LIBRARY...       LIBRARY is [pure:|open:]path.a; open libraries are checked for what they define only
    purity.py --self-test NM CC   a library that calls the system, and one that defines a bare name, are both caught
"""

import os
import re
import subprocess
import sys
import tempfile

OURS = re.compile(r"weft_")

# What <string.h> offers without an operating system: compilers emit calls to some of these by themselves.
STRING = {"memcpy", "memmove", "memset", "memcmp", "memchr", "memrchr", "memccpy", "mempcpy", "strlen", "strnlen",
          "strcmp", "strncmp", "strchr", "strchrnul", "strrchr", "strstr", "strspn", "strcspn", "strpbrk", "strcpy",
          "strncpy", "stpcpy", "strcat", "strncat", "bcmp"}

COMPILER = re.compile(
    r"""_GLOBAL_OFFSET_TABLE_ | __stack_chk_(fail|guard) | _?__(asan|ubsan|tsan|lsan|msan|sanitizer)_\w+ | __gcov_\w+ | __odr_asan[\w.]*
      | __(add|sub|mul|neg|ash[lr]|lshr|u?div|u?mod|u?divmod|u?cmp|clz|ctz|ffs|popcount|parity|fix|float)\w*[sdtx][ifc]\d?
      | __aarch64_(cas|swp|ldadd|ldclr|ldeor|ldset)\d+_\w+ | __(mem|str|stp)\w+_chk | __dso_handle""",
    re.VERBOSE)


def symbols(nm, library):
    """Yield (object, symbol, kind) for each external symbol; kind U is undefined."""
    output = subprocess.run([nm, "-g", "-A", "--format=posix", library], check=True, capture_output=True, text=True)
    for line in output.stdout.splitlines():
        place, _, rest = line.rpartition(": ")
        fields = rest.split()
        if len(fields) >= 2:
            yield place, fields[0].split("@")[0], fields[1]


def allowed(symbol):
    return bool(OURS.match(symbol) or symbol in STRING or COMPILER.fullmatch(symbol))


def check(nm, library, pure):
    """The complaints about one library."""
    complaints = []
    for place, symbol, kind in symbols(nm, library):
        if kind in "Uvw":
            if pure and not allowed(symbol):
                complaints.append(f"{place} references {symbol}, which is neither ours nor freestanding")
        elif not OURS.match(symbol) and not COMPILER.fullmatch(symbol):
            complaints.append(f"{place} defines {symbol}, which does not begin with weft_")
    return complaints


def compiled(cc, folder, name, source):
    """A library made of one source text."""
    c = os.path.join(folder, name + ".c")
    o = os.path.join(folder, name + ".o")
    with open(c, "w") as file:
        file.write(source)
    subprocess.run([*cc, "-O1", "-c", c, "-o", o], check=True)
    return o


def self_test(nm, cc):
    cases = [
        ("clean", "#include <string.h>\nint weft__f(char *d, const char *s, unsigned n);\n"
                  "int weft__f(char *d, const char *s, unsigned n) { memcpy(d, s, n); return (int)strlen(d); }\n", 0),
        ("system", "int getpid(void); int weft__f(void);\nint weft__f(void) { return getpid(); }\n", 1),
        ("memory", "#include <stdlib.h>\nvoid *weft__f(void);\nvoid *weft__f(void) { return calloc(1, 64); }\n", 1),
        ("errno", "#include <errno.h>\nint weft__f(void);\nint weft__f(void) { return errno; }\n", 1),
        ("weak", "extern int pause(void) __attribute__((weak)); int weft__f(void);\n"
                 "int weft__f(void) { return pause ? pause() : 0; }\n", 1),
        ("bare", "int helper(void);\nint helper(void) { return 1; }\n", 1),
    ]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, source, expected in cases:
            complaints = check(nm, compiled(cc, folder, name, source), True)
            if len(complaints) != expected:
                print(f"self-test {name}: {expected} complaint(s) expected, got {complaints}")
                failed += 1
    return failed


def main(arguments):
    if arguments[0] == "--self-test":
        return 1 if self_test(arguments[1], arguments[2:]) else 0
    complaints = []
    for argument in arguments[1:]:
        kind, _, library = argument.partition(":")
        complaints += check(arguments[0], library, kind == "pure")
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
