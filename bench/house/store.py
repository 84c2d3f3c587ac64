"""results.json: everything that was found, by CPU model and commit, so that what different machines and different days found lies side by side.

    {"AMD EPYC 25/17": {"3f2a9c1": {"machine": {...}, "shows": {row: ...}, "verdicts": {row: {bar: ...}}}}}

A verdict keeps its pairs, so one that was interrupted goes on where it was."""

import json
import os
import pathlib
import re
import subprocess
import time

import peers

OUT = peers.ROOT / "build" / "bench-results"
FILE = OUT / "results.json"


def cpu_model():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    found = dict(re.findall(r"^(model name|cpu family|model|CPU implementer|CPU part)\s*:\s*(.+)$", text, re.M))
    if "model name" in found:
        return f"{found['model name']} {found.get('cpu family', '?')}/{found.get('model', '?')}"
    return f"{os.uname().machine} {found.get('CPU implementer', '?')}/{found.get('CPU part', '?')}"


def commit():
    """Of the tree as it is: a changed one is told from the commit it came from."""
    git = lambda *a: subprocess.run(["git", "-C", str(peers.ROOT), *a], capture_output=True, text=True)
    head = git("rev-parse", "--short=10", "HEAD")
    if head.returncode != 0:
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no", "src", "include", "programs", "bench").stdout.strip()
    return head.stdout.strip() + ("+changes" if changed else "")


class Store:
    def __init__(self):
        OUT.mkdir(parents=True, exist_ok=True)
        self.all = json.loads(FILE.read_text()) if FILE.exists() else {}
        self.cpu, self.commit = cpu_model(), commit()
        self.here = self.all.setdefault(self.cpu, {}).setdefault(self.commit, {})
        self.here.setdefault("shows", {})
        self.here.setdefault("verdicts", {})
        self.here["machine"] = {"cpu": self.cpu, "processors": os.cpu_count(), "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
                                "versions": peers.versions(), "load_average": os.getloadavg()[0]}

    def save(self):
        """Whole or not at all: an interruption leaves the old file."""
        self.here["machine"]["missing"] = peers.all_missing()
        part = FILE.with_suffix(".part")
        part.write_text(json.dumps(self.all, sort_keys=True, separators=(",", ":")) + "\n")
        part.replace(FILE)
