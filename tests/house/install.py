#!/usr/bin/env python3
"""What is installed works for a program that knows nothing but pkg-config: it compiles, links with the shared and with
the static library, and runs; and each public header and program is where it should be.

    install.py SOURCE_DIR BUILD_DIR VERSION PROGRAMS CC...      PROGRAMS: names of installed programs, by commas, or -
"""

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

RUN_LIMIT_S = 20


def run(command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode:
        print(f"$ {' '.join(map(str, command))}\n{result.stdout}{result.stderr}", file=sys.stderr)
        sys.exit(1)
    return result.stdout


def one(root, pattern):
    """The only file below root that matches."""
    found = [path for path in root.rglob(pattern) if not path.is_symlink()]
    if len(found) != 1:
        sys.exit(f"expected one installed {pattern}, found {[str(path) for path in found]}")
    return found[0]


def main(arguments):
    source, build, version, programs = pathlib.Path(arguments[0]), arguments[1], arguments[2], arguments[3]
    cc = arguments[4:]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "root"
        run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", str(root)])

        # weft.pc names the prefix it will have in the end; the staging folder is put in front of it.
        env = dict(os.environ, PKG_CONFIG_PATH=str(one(root, "weft.pc").parent), PKG_CONFIG_SYSROOT_DIR=str(root))
        for path in (source / "include" / "weft").glob("*.h"):
            if one(root, f"weft/{path.name}").read_bytes() != path.read_bytes():
                sys.exit(f"the installed {path.name} is another one")
        if run(["pkg-config", "--modversion", "weft"], env=env).strip() != version:
            sys.exit("weft.pc tells another version")
        for name in programs.split(",") if programs != "-" else []:
            if not os.access(one(root, f"bin/{name}"), os.X_OK):
                sys.exit(f"{name} is not executable")

        shared = one(root, "libweft.so.*")
        outside = str(source / "tests" / "house" / "outside.c")
        flags = shlex.split(run(["pkg-config", "--cflags", "weft"], env=env))
        libs = shlex.split(run(["pkg-config", "--libs", "weft"], env=env))
        # What weft itself needs comes from the machine, not from the staging folder: it is asked for apart.
        machine = shlex.split(run(["pkg-config", "--static", "--libs", "weft"],
                                  env=dict(os.environ, PKG_CONFIG_PATH=env["PKG_CONFIG_PATH"])))
        archive = str(one(root, "libweft.a"))
        private = [flag for flag in machine if flag != "-lweft" and not flag.startswith("-L")]

        strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        expected = f"weft {version}: 3 turns, result 0\n"
        for name, link in (("shared", [*libs, f"-Wl,-rpath,{shared.parent}"]), ("static", [archive, *private])):
            program = str(pathlib.Path(folder) / name)
            run([*cc, *strict, *flags, outside, "-o", program, *link])
            said = run([program], timeout=RUN_LIMIT_S)
            if said != expected:
                sys.exit(f"{name}: expected {expected!r}, got {said!r}")
            print(f"{name}: {said.strip()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
