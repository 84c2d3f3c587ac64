"""`python3 bench/house modes`: shows the three modes side by side and writes the table of docs/modes.md."""

import peers
import report
import rows
import show

PAGE = peers.ROOT / "docs" / "modes.md"
BEGIN, END = "<!-- modes: written by bench/house -->\n", "<!-- end of modes -->\n"
ROUNDS, SLICE_S = 15, 0.6


def mode(name):
    return name.removeprefix("weft-uring").lstrip("-") or "shared"


def lines(machine, shows):
    yield f"{machine['cpu']}, {machine['processors']} processors, Linux {machine['versions']['kernel']}, {machine['date'][:10]}.\n"
    yield "| load | mode | messages/s | CPU per message | p50 | p99 | p99.9 | left out |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows.modes():
        found = shows.get(row.name, {}).get("found", {})
        for name in rows.MODES:
            f = found.get(name)
            if f:
                yield (f"| {row.job} | `{mode(name)}` | {report.spread(f['throughput'], report.number)} | {report.spread(f['cpu'], report.ns)} "
                       f"| {report.ns(f['p50'])} | {report.ns(f['p99'])} | {report.ns(f['p999'])} | {f['left_out']} of {f['slices']} |")


def placed(text, new):
    return text[:text.index(BEGIN)] + BEGIN + "\n" + "\n".join(new) + "\n\n" + END + text[text.index(END) + len(END):]


def command(kept, say):
    show.show_all(list(rows.modes()), ROUNDS, SLICE_S, kept, say)
    PAGE.write_text(placed(PAGE.read_text(), lines(kept.here["machine"], kept.here["shows"])))
    say(f"written into {PAGE.relative_to(peers.ROOT)}", keep=True)
    return 0
