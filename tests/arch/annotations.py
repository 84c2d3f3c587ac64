#!/usr/bin/env python3
"""Each tool that watches a program is told of our switches: it complains of a run when nobody tells it, and not when we do.

Usage: annotations.py SOURCE_ROOT SWITCH_FILE COMPILER. Builds watched.c with each tool it finds, with and without telling.
Exit status 77: none of them is here.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

UNTOLD = "-DWEFT_TEST_UNTOLD"
CLEAN = r"^$"


def compile(root, switch, compiler, flags, out):
    tests, arch = os.path.join(root, "tests", "arch"), os.path.join(root, "src", "arch")
    sources = [os.path.join(tests, "watched.c"), os.path.join(arch, "annotate.c"), os.path.join(arch, switch)]
    includes = ["-I" + os.path.join(root, d) for d in ("src", "include", "tests", "tests/arch")]
    done = subprocess.run([compiler, "-std=gnu11", "-D_GNU_SOURCE", "-gdwarf-4", "-O1", "-fno-omit-frame-pointer", *includes, *flags,
                           *sources, "-o", out, "-lm", "-pthread"], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{compiler} {' '.join(flags)} does not work here: {done.stderr.strip().splitlines()[-1:]}")
    return done.returncode == 0


def run(command, env):
    environment = {k: v for k, v in os.environ.items() if not k.endswith("SAN_OPTIONS")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env={**environment, **env})
    return done.returncode, done.stdout + done.stderr


def prove(name, told, untold, case, noise, env=None, wrapper=(), quiet=CLEAN):
    """quiet: what the output of the told run must match; noise: what that of the untold one must contain."""
    code, text = run([*wrapper, told, case], env or {})
    if code != 0 or not re.search(quiet, text) or re.search(noise, text):
        sys.exit(f"{name}, {case}: complains although it was told (status {code}):\n{text}")
    code, text = run([*wrapper, untold, case], env or {})
    if not re.search(noise, text):
        sys.exit(f"{name}, {case}: says nothing when nobody tells it (status {code}), so the case proves nothing:\n{text}")
    print(f"{name}, {case}: quiet when told, else '{re.search(noise, text).group(0)}'")


def both(root, switch, compiler, flags, place, name):
    told, untold = os.path.join(place, name), os.path.join(place, name + "-untold")
    if compile(root, switch, compiler, flags, told) and compile(root, switch, compiler, [*flags, UNTOLD], untold):
        return told, untold
    return None


def main():
    root, switch, compiler = sys.argv[1:4]
    portable = ["-DWEFT_SWITCH_PORTABLE=1"] if switch == "portable.c" else []
    proofs = 0
    with tempfile.TemporaryDirectory() as place:
        for cc in sorted({c for c in ("gcc", "clang") if shutil.which(c)}):
            pair = both(root, switch, cc, [*portable, "-fsanitize=address"], place, cc + "-asan")
            if pair and not portable:
                use_after_return = {"ASAN_OPTIONS": "detect_stack_use_after_return=1:detect_leaks=1"}
                prove(f"AddressSanitizer ({cc})", *pair, "jump", r"ignoring requested __asan_handle_no_return|ERROR", use_after_return)
                # The leak checker does not look into fake stacks of parked contexts, so here the real ones are used.
                prove(f"LeakSanitizer ({cc})", *pair, "hold", r"detected memory leaks",
                      {"ASAN_OPTIONS": "detect_stack_use_after_return=0:detect_leaks=1"})
                proofs += 2
        pair = shutil.which("clang") and both(root, switch, "clang", [*portable, "-fsanitize=thread"], place, "tsan")
        if pair and not portable:
            prove("ThreadSanitizer (clang)", *pair, "lock", r"unlock of an unlocked mutex")
            proofs += 1
        valgrind = [*portable, "-DWEFT_HAVE_VALGRIND=1"]
        pair = shutil.which("valgrind") and both(root, switch, compiler, valgrind, place, "valgrind")
        if pair:
            prove("Valgrind", *pair, "deep", r"client switching stacks", wrapper=["valgrind", "--error-exitcode=9"],
                  quiet=r"ERROR SUMMARY: 0 errors")
            proofs += 1
    if proofs == 0:
        print("skipped: no sanitizer and no Valgrind here")
        sys.exit(77)


main()
