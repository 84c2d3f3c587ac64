"""The benchmark house: python3 bench/house COMMAND.

    show [--quick] [NAME]     rows side by side: all, the quick ones, or those of a name
    verdict [--minutes N] [ROW]   judges one row, those of a name, or all: the most telling first
    table                     keeps what was judged in bench/verdicts.json, and the pairs of what is still open in bench/pairs/;
                              writes docs/benchmarks.md from it; the newest run of all rows becomes docs/side-by-side.md
    check [--update]          deterministic figures against bench/baseline.json
    choices [--minutes N] [NAME]  design choices beside what was not chosen, built apart
    modes                     the three modes side by side, into docs/modes.md
    list                      what there is
"""

import argparse
import json
import subprocess
import sys
import time

import bars
import begun
import campaign
import children
import choices
import counts
import modes
import peers
import report
import rows
import show
import store
import verdict


class Teller:
    """Progress on one line of a terminal; elsewhere a line now and then."""

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.said = 0.0

    def __call__(self, text, keep=False):
        if self.terminal:
            print(f"\r\x1b[K{text}", end="\n" if keep else "", flush=True)
        elif keep or time.monotonic() - self.said > 10:
            self.said = time.monotonic()
            print(text, flush=True)


def draw(kept, say):
    folder = store.OUT / "plots"
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run([python, str(peers.ROOT / "bench" / "house" / "plots.py"), str(store.FILE), kept.cpu, kept.commit, str(folder)],
                              capture_output=True, text=True)
        if done.returncode == 0:
            return say(f"plots: {folder.relative_to(peers.ROOT)}/", keep=True)
    say("no plots: " + (done.stderr.strip().splitlines() or ["?"])[-1], keep=True)


def finish(kept, say):
    kept.save()
    path = report.write(kept)
    say(f"figures: {store.FILE.relative_to(peers.ROOT)}; table: {path.relative_to(peers.ROOT)}", keep=True)
    draw(kept, say)


def chosen(name):
    found = rows.named(name)
    if not found:
        sys.exit(f"no row is called {name}; `python3 bench/house list` says what there is")
    return found


def studies():
    """The programs of bench/micro that look at one design choice each: meson knows them."""
    done = subprocess.run(["meson", "introspect", "--benchmarks", str(peers.BUILD)], capture_output=True, text=True, check=True)
    return [b["name"] for b in json.loads(done.stdout)]


def command_show(options, say):
    if options.name and options.name in studies() and options.name not in (r.name for r in rows.all_rows()):
        return subprocess.call(["meson", "test", "-C", str(peers.BUILD), "--benchmark", "--no-rebuild", "--verbose", options.name])
    wanted = chosen(options.name) if options.name else [r for r in rows.all_rows() if r.quick or not options.quick]
    wanted = list(rows.tables(wanted))
    rounds, slice_s = (show.QUICK_ROUNDS, show.QUICK_SLICE_S) if options.quick else (show.ROUNDS, show.SLICE_S)
    peers.prepare()
    kept = store.Store()
    show.show_all(wanted, options.rounds or rounds, options.slice or slice_s, kept, say)
    finish(kept, say)
    return 1 if any("broken" in kept.here["shows"][r.name] for r in wanted) else 0


def command_verdict(options, say):
    wanted = chosen(options.row) if options.row else rows.all_rows()
    peers.prepare()
    return judge(wanted, options, say)


def command_choices(options, say):
    if options.name and options.name not in [choice.name for choice in choices.CHOICES]:
        sys.exit(f"no choice is called {options.name}; there are: {' '.join(choice.name for choice in choices.CHOICES)}")
    peers.prepare()
    return judge(choices.prepare([options.name] if options.name else [], say), options, say)


def judge(wanted, options, say):
    kept = store.Store()
    begun.take_up(kept, wanted)
    status = 0
    try:
        if not campaign.Campaign(wanted, kept, say, options.minutes).run():
            status = 1
    except KeyboardInterrupt as e:
        say(f"interrupted ({e}): the same command goes on where this ended", keep=True)
        status = 130
    finish(kept, say)
    return status


def command_table(_options, say):
    kept = store.Store()
    begun.take_up(kept, rows.all_rows())
    begun.keep(kept, rows.all_rows())
    kept.keep_verdicts()
    report.keep(kept)
    for cpu in store.judged():
        bars.write(cpu)
        say(bars.summary(cpu), keep=True)
    return 0


def command_modes(_options, say):
    peers.prepare()
    return modes.command(store.Store(), say)


def command_list(_options, _say):
    for row in rows.all_rows():
        print(f"{row.name:28} {row.kind:5} {row.workers} worker(s)  {'quick  ' if row.quick else '       '}"
              + "; ".join(verdict.key(bar) for bar in row.bars))
    return 0


def main():
    parser = argparse.ArgumentParser(prog="bench/house", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("show")
    one.add_argument("--quick", action="store_true")
    one.add_argument("--rounds", type=int, help="instead of what the mode has")
    one.add_argument("--slice", type=float, metavar="SECONDS", help="likewise")
    one.add_argument("name", nargs="?")
    one = commands.add_parser("verdict")
    one.add_argument("--minutes", type=float, help="stop after so many, in the middle if need be")
    one.add_argument("row", nargs="?")
    commands.add_parser("table")
    one = commands.add_parser("choices")
    one.add_argument("--minutes", type=float, help="as of verdict")
    one.add_argument("name", nargs="?")
    commands.add_parser("check").add_argument("--update", action="store_true")
    commands.add_parser("modes")
    commands.add_parser("list")
    options = parser.parse_args()
    children.heed_signals()
    say = Teller()
    act = {"show": command_show, "verdict": command_verdict, "check": counts.command, "list": command_list, "table": command_table,
           "modes": command_modes, "choices": command_choices}[options.command]
    try:
        return act(options, say)
    except KeyboardInterrupt as e:
        say(f"interrupted ({e})", keep=True)
        return 130


if __name__ == "__main__":
    sys.exit(main())
