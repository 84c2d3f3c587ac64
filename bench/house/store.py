"""results.json: everything that was found, by CPU model and commit, so that what different machines and different days found lies side by side.

    {"AMD EPYC 25/17": {"3f2a9c1": {"machine": {...}, "shows": {row: ...}, "verdicts": {row: {"bars": ...}}}}}

A run of many rows is kept at the last commit that changed anything measured, a row's verdict at the last that changed
what that row's figures depend on.

Slices of verdicts are kept beside it, a file a row, so that one that was interrupted goes on where it was. On request
what was judged goes into bench/verdicts.json, the newest of each bar by CPU model, which belongs to the tree: docs/benchmarks.md is written
from it."""

import json
import os
import pathlib
import re
import subprocess
import time

import peers

OUT = peers.ROOT / "build" / "bench-results"
FILE = OUT / "results.json"
VERDICTS = peers.ROOT / "bench" / "verdicts.json"


def cpu_model():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    found = dict(re.findall(r"^(model name|cpu family|model|CPU implementer|CPU part)\s*:\s*(.+)$", text, re.M))
    if "model name" in found:
        return f"{found['model name']} {found.get('cpu family', '?')}/{found.get('model', '?')}"
    return f"{os.uname().machine} {found.get('CPU implementer', '?')}/{found.get('CPU part', '?')}"


# What figures depend on: who judges them and what is written about them may change without making them old.
MEASURED = ("src", "include", "programs", "bench", ":(exclude)bench/house", ":(exclude)bench/*.md", ":(exclude)bench/*.json")

# What the rows of a kind do not run. Where in doubt a file is not named here.
SERVE_ONLY = ("access_log.*", "cache*", "conn.*", "files.c", "http_*", "listing.*", "mime.*", "page*", "respond.*", "send_file.*", "serve.c")
NOT_RUN = {
    "jobs": (":(exclude)programs",),
    "cold": (":(exclude)programs",),
    "server": (":(exclude)programs",),
    "echo": tuple(f":(exclude)programs/weft/{name}" for name in SERVE_ONLY),
    "http": (":(exclude)programs/weft/echo.c",),
}


def commit(kind=None):
    """The last one that changed what is measured, or what rows of that kind run of it; a changed tree is told from it."""
    paths = MEASURED + NOT_RUN.get(kind, ())
    git = lambda *a: subprocess.run(["git", "-C", str(peers.ROOT), *a, "--", *paths], capture_output=True, text=True)
    last = git("log", "-1", "--format=%h", "--abbrev=10")
    if last.returncode != 0 or not last.stdout.strip():
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
    return last.stdout.strip() + ("+changes" if changed else "")


class Store:
    def __init__(self):
        OUT.mkdir(parents=True, exist_ok=True)
        self.all = json.loads(FILE.read_text()) if FILE.exists() else {}
        self.cpu, self.commit, self.commits = cpu_model(), commit(), {}
        self.here = self.at(self.commit)
        self.here["machine"] = {"cpu": self.cpu, "processors": os.cpu_count(), "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
                                "versions": peers.versions(), "load_average": os.getloadavg()[0]}

    def at(self, commit_):
        found = self.all.setdefault(self.cpu, {}).setdefault(commit_, {})
        for part in ("shows", "verdicts"):
            found.setdefault(part, {})
        return found

    def commit_of(self, row):
        """The one that a row's figures are of."""
        if row.kind not in self.commits:
            self.commits[row.kind] = commit(row.kind)
        return self.commits[row.kind]

    def verdicts(self, row):
        """{row: {"choice": ..., "bars": ...}} of the commit that this row's are of."""
        return self.at(self.commit_of(row))["verdicts"]

    def save(self):
        self.here["machine"]["missing"] = peers.all_missing()
        write(FILE, self.all)

    # ---- slices of verdicts ----

    def pairs_file(self, row):
        return OUT / "pairs" / file_name(self.cpu) / self.commit_of(row) / f"{row.name}.json"

    def load_pairs(self, row):
        """{comparator: [(ours, theirs), ...]}; a slice of ours may be in pairs of two comparators, and is kept once."""
        path = self.pairs_file(row)
        if not path.exists():
            return {}
        kept = json.loads(path.read_text())
        return {name: [(kept["slices"][a], kept["slices"][b]) for a, b in pairs] for name, pairs in kept["pairs"].items()}

    def save_pairs(self, row, pairs):
        slices, places = [], {}

        def place(slice_):
            if id(slice_) not in places:
                places[id(slice_)] = len(slices)
                slices.append(slice_)
            return places[id(slice_)]
        numbered = {name: [(place(a), place(b)) for a, b in of] for name, of in pairs.items()}
        self.keep_slices(row, slices, numbered)

    def keep_slices(self, row, slices, pairs):
        path = self.pairs_file(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, {"slices": slices, "pairs": pairs})

    # ---- what belongs to the tree ----

    def keep_verdicts(self):
        """Adds what was judged, at whatever commit, to bench/verdicts.json: the newest that has a figure."""
        every = judged()
        for cpu, commit_, row, bar, result in self.results():
            mine = every.setdefault(cpu, {}).setdefault(row, {})
            before = mine.get(bar)
            if before is None or ("ratio" in result or "ratio" not in before) and before["date"] <= result["date"]:
                mine[bar] = {k: round_all(v) for k, v in result.items()} | {"commit": commit_}
        VERDICTS.write_text(json.dumps(every, indent=1, sort_keys=True) + "\n")

    def results(self):
        for cpu, commits in self.all.items():
            for commit_, found in commits.items():
                for row, kept in found["verdicts"].items():
                    for bar, result in kept["bars"].items():
                        yield cpu, commit_, row, bar, result


def round_all(value):
    if isinstance(value, float):
        return round(value, 4)
    return {k: round_all(v) for k, v in value.items()} if isinstance(value, dict) else value


def judged():
    return json.loads(VERDICTS.read_text()) if VERDICTS.exists() else {}


def file_name(text):
    return re.sub(r"[^A-Za-z0-9]+", "-", text)


def write(path, content):
    """Whole or not at all: an interruption leaves the old file."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n")
    part.replace(path)
