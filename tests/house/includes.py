#!/usr/bin/env python3
"""A layer calls down, never up and never sideways (design, section 2), and its includes are the proof: each file of
src/<layer> includes its own layer and lower ones; layers above the ports include no system header but freestanding
ones, <errno.h> and <string.h>; programs and examples include public headers only.

    includes.py SOURCE_ROOT       check the tree
    includes.py --self-test       a tree with one of each mistake is caught
"""

import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include(?:_next)?\s*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)

# Lowest first. A layer may include those listed for it, and itself.
BELOW = {
    "base": [],
    "arch": ["base"],
    "env": ["base", "arch"],
    "port": ["base", "arch", "env"],
    "sched": ["base", "arch", "env", "port"],
    "fiber": ["base", "arch", "env", "port", "sched"],
    "lane": ["base", "arch", "env", "port", "sched", "fiber"],
    "sync": ["base", "arch", "env", "port", "sched", "fiber", "lane"],
    "net": ["base", "arch", "env", "port", "sched", "fiber", "lane", "sync"],
    "fs": ["base", "arch", "env", "port", "sched", "fiber", "lane", "sync"],
    # The simulator stands for env and port, and knows the insides of nothing above them.
    "sim": ["base", "arch", "env", "port", "sched", "fiber"],
    "stream": [],
}

PURE = ("base", "sched", "fiber", "lane", "sync")
PURE_SYSTEM = {"float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h",
               "stdint.h", "stdnoreturn.h", "errno.h", "string.h"}
# Compilers' and checkers' own: they bring macros, not an operating system.
PURE_FOLDERS = ("weft/", "sanitizer/", "valgrind/")


def includes(path):
    """Yield (line, is_system, name) for each include of a file, comments apart."""
    text = COMMENT.sub(lambda match: "\n" * match.group().count("\n"), path.read_text(errors="replace"))
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(1)) + 1, match.group(1) == "<", match.group(2)


def sources(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in (".c", ".h", ".S")) if folder.is_dir() else []


def check_layer(layer, path):
    for line, system, name in includes(path):
        where = f"{path}:{line}"
        head = name.split("/")[0]
        if system:
            if layer in PURE and name not in PURE_SYSTEM and not name.startswith(PURE_FOLDERS):
                yield f"{where}: {layer} includes <{name}>: only freestanding headers, <errno.h> and <string.h> here"
        elif name.startswith("weft/"):
            yield f"{where}: write <{name}>: public headers go in angle brackets"
        elif head not in BELOW or "/" not in name:
            if name != "weft_config.h":
                yield f'{where}: "{name}" does not read "layer/object.h"'
        elif head != layer and head not in BELOW[layer]:
            yield f'{where}: {layer} includes "{name}", which is not below it'


def check_user(root, path):
    for line, system, name in includes(path):
        inside = name.split("/")[0] in BELOW or (root / "src" / name).exists()
        if not system and inside and not (path.parent / name).is_file():
            yield f'{path}:{line}: "{name}" is inside the library: programs see public headers only'


def check(root):
    complaints = []
    for folder in sorted((root / "src").iterdir()):
        if folder.is_dir() and folder.name not in BELOW:
            complaints.append(f"{folder}: a layer that tests/house/includes.py does not know")
    for layer in BELOW:
        for path in sources(root / "src" / layer):
            complaints += check_layer(layer, path)
    for path in sources(root / "include"):
        for line, system, name in includes(path):
            if not system or name.split("/")[0] in BELOW:
                complaints.append(f'{path}:{line}: a public header includes "{name}", which is not installed')
    for path in sources(root / "programs") + sources(root / "examples"):
        complaints += check_user(root, path)
    return complaints


def self_test():
    tree = {
        "src/base/list.h": ("#include <stddef.h>\n", 0),
        "src/base/bad.h": ("#include <unistd.h>\n", 1),
        "src/sched/queue.c": ('#include "base/list.h"\n#include <errno.h>\n/* #include <stdlib.h> */\n', 0),
        "src/sched/os.c": ('#include "sched/queue.h"\n#include <pthread.h>\n', 1),
        "src/sched/up.c": ('#include "fiber/fiber.h"\n', 1),
        "src/net/sideways.c": ('#include "fs/file.h"\n#include <sys/socket.h>\n', 1),
        "src/env/posix.c": ("#include <pthread.h>\n#include <weft/env.h>\n", 0),
        "src/fiber/bare.c": ('#include "fiber.h"\n#  include "weft/types.h"\n', 2),
        "src/odd/x.c": ("", 1),
        "include/weft/a.h": ('#include <weft/types.h>\n#include "sched/queue.h"\n', 1),
        "programs/weft/main.c": ('#include "main.h"\n#include <stdio.h>\n', 0),
        "programs/weft/main.h": ('#include "sched/queue.h"\n', 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, (text, _) in tree.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        complaints = check(root)
        failed = 0
        for name, (_, expected) in tree.items():
            about = str(root / name) + ":" if not name.startswith("src/odd") else str(root / "src/odd") + ":"
            found = [complaint for complaint in complaints if complaint.startswith(about)]
            if len(found) != expected:
                print(f"self-test {name}: {expected} complaint(s) expected, got {found}")
                failed += 1
    return failed


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    complaints = check(pathlib.Path(arguments[0]))
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
