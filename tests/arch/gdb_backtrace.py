#!/usr/bin/env python3
"""gdb's bt in a context, of a parked one, and at every instruction of the switch: right functions, and a clean end at the entry.

Usage: gdb_backtrace.py PROGRAM SWITCH (the build's kind of switch). Exit status 77: cannot run here, and why.
"""
import platform
import re
import shutil
import subprocess
import sys

SP, PC = {"x86_64": ("rsp", "rip"), "aarch64": ("sp", "pc"), "riscv64": ("sp", "pc")}.get(platform.machine(), ("", ""))
BAD = ["corrupt stack", "Cannot access memory", "Backtrace stopped", "previous frame inner"]


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def gdb(program, commands):
    args = ["gdb", "-nx", "-batch", "-ex", "set confirm off", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]
    for command in commands:
        args += ["-ex", command]
    done = subprocess.run(args + [program], capture_output=True, text=True, timeout=100)
    text = done.stdout + done.stderr
    if "ptrace: Operation not permitted" in text or "Couldn't get registers" in text:
        skip("this machine does not let gdb trace programs")
    return text


def frames(text):
    """The functions of the backtraces in text, one list each, innermost first."""
    traces = []
    for number, function in re.findall(r"^#(\d+)\s+(?:0x[0-9a-f]+ in )?([A-Za-z_][\w.]*)", text, re.M):
        # gdb reads some names as Ada's; compilers add .isra.
        function = function.replace("weft.", "weft__").split(".")[0]
        if number == "0":
            traces.append([])
        traces[-1].append(function)
    return traces


def expect(what, text, wanted):
    found = frames(text)
    if [t for t in found if t != wanted] or not found or any(bad in text for bad in BAD):
        print(f"{what}: expected {wanted}, got {found}\n{text}")
        sys.exit(1)
    print(f"{what}: {len(found)} backtraces as they should be")


def every_instruction(program):
    """Steps through a whole switch: each bt is of the context left or of the one resumed, and complete."""
    text = gdb(program, ["break innermost", "run", "delete", "break weft__switch_raw", "continue", "delete"]
               + ["bt", "stepi"] * 45)
    left, resumed = ["first"], ["main"]
    traces = [t for t in frames(text) if t[0] in ("weft__switch_raw", "weft__switch_resume")]
    ends = [t[-1] for t in traces]
    wanted = {"weft__context_start", "main"}
    if len(traces) < 30 or set(ends) != wanted or any(bad in text for bad in BAD):
        print(f"stepping: {len(traces)} backtraces, ending in {set(ends)}, expected {wanted}\n{text}")
        sys.exit(1)
    for trace in traces:
        middle = left if trace[-1] == "weft__context_start" else resumed
        if not set(middle) <= set(trace):
            print(f"stepping: {trace} has no {middle}")
            sys.exit(1)
    print(f"stepping: {len(traces)} backtraces inside the switch, all complete")


def main():
    program, switch = sys.argv[1:3]
    if switch == "portable":
        skip("the portable switch stands on libc's frames")
    if shutil.which("gdb") is None:
        skip("there is no gdb")
    if not SP:
        skip("no register names for this CPU")
    chain = ["third", "second", "first", "weft__context_start"]
    expect("inside", gdb(program, ["break innermost", "run", "bt"]), ["innermost"] + chain)
    text = gdb(program, ["break innermost", "run", f"set ${SP} = (unsigned long)parked.sp",
                         f"set ${PC} = (unsigned long)&weft__switch_resume", "bt"])
    text = re.sub(r"^#(\d+)\s.*innermost.*\n(?=.*Breakpoint)", "", text, flags=re.M)
    found = [[f for f in t if f != "weft__switch"] for t in frames(text)][-1:]
    wanted = ["weft__switch_raw"] + chain
    if found and found[0][0] == "weft__switch_resume":
        found[0][0] = "weft__switch_raw"
    if found != [wanted] or any(bad in text for bad in BAD):
        print(f"parked: expected {wanted}, got {found}\n{text}")
        sys.exit(1)
    print("parked: as it should be")
    every_instruction(program)


main()
