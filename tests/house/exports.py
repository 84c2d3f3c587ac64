#!/usr/bin/env python3
"""What the public headers declare and what the shared library exports are the same: nothing promised is missing,
nothing private leaks.

    exports.py NM LIBRARY INCLUDE_DIR
"""

import pathlib
import re
import subprocess
import sys

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
DECLARATION = re.compile(r"\bWEFT_API\b([^;{]*)[;{]")


def declared(folder):
    """Names of functions and objects marked WEFT_API, with the header each is in."""
    names = {}
    for path in sorted((folder / "weft").glob("*.h")):
        text = re.sub(r"^\s*#\s*define.*(?:\\\n.*)*$", "", COMMENT.sub(" ", path.read_text()), flags=re.MULTILINE)
        for match in DECLARATION.finditer(text):
            found = re.search(r"\b(weft_\w+)\s*\(", match.group(1)) or re.search(r"\b(weft_\w+)\s*(?:\[[^]]*\]\s*)*$",
                                                                               match.group(1))
            if found:
                names[found.group(1)] = path.name
            else:
                names[match.group(0).strip()] = path.name
    return names


def exported(nm, library):
    output = subprocess.run([nm, "-D", "--defined-only", "--format=posix", library], check=True, capture_output=True,
                            text=True)
    return {line.split()[0].split("@")[0] for line in output.stdout.splitlines() if line.split()[1] != "A"}


def main(arguments):
    nm, library, folder = arguments
    promised = declared(pathlib.Path(folder))
    given = exported(nm, library)
    for name in sorted(promised.keys() - given):
        print(f"{promised[name]} declares {name}, which the library does not export")
    for name in sorted(given - promised.keys()):
        print(f"the library exports {name}, which no public header declares")
    print(f"{len(promised)} declared, {len(given)} exported")
    return 0 if promised and promised.keys() == given else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
