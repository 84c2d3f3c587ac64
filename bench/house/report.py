"""The Markdown table of what was shown and judged, build/bench-results/results.md; and of the newest run of all rows, docs/side-by-side.md, which belongs
to the tree."""

import textwrap

import peers
import rows
import store

PAGE = peers.ROOT / "docs" / "side-by-side.md"


def number(value):
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 1e4:
        return f"{value / 1e3:.1f} k"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ns(value):
    for limit, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.3g} ns"


def spread(figure, form):
    return f"{form(figure['median'])} [{form(figure['interval'][0])}, {form(figure['interval'][1])}]"


def in_process(name, row):
    yield f"### {name}: {row['job']}" + (f" × {row['size']:,}" if row["size"] else "") + f", {row['workers']} worker(s)\n"
    yield "| program | wall per operation | CPU per operation | left out |"
    yield "|---|---|---|---|"
    for who, f in sorted(row["found"].items(), key=lambda item: item[1]["wall"]["median"]):
        yield f"| {f.get('version') or who} | {spread(f['wall'], ns)} | {spread(f['cpu'], ns)} | {f['left_out']} of {f['slices']} |"


def over_sockets(name, row):
    load = ", ".join(f"{k} {v}" for k, v in row["load"].items())
    yield f"### {name}: {load}, {row['workers']} worker(s)\n"
    yield "| program | messages/s | server CPU per message | p50 | p99 | p99.9 | memory | left out |"
    yield "|---|---|---|---|---|---|---|---|"
    for who, f in sorted(row["found"].items(), key=lambda item: item[1]["cpu"]["median"]):
        memory = f["memory"]["rss"] + f["memory"]["page_tables"]
        yield (f"| {who} | {spread(f['throughput'], number)} | {spread(f['cpu'], ns)} | {ns(f['p50'])} | {ns(f['p99'])} | {ns(f['p999'])} "
               f"| {memory / 2**20:.1f} MiB | {f['left_out']} of {f['slices']} |")


def verdicts(of):
    yield "| row | bar | verdict | ratio [98 %] | pairs, left out | with all | ours against itself |"
    yield "|---|---|---|---|---|---|---|"
    for name, kept in sorted(of.items()):
        for bar, r in kept["bars"].items():
            if "ratio" in r:
                yield (f"| {name} | {bar} ({r['against']}) | {r['verdict']} | {r['ratio']:.3f} [{r['low']:.3f}, {r['high']:.3f}] "
                       f"| {r['pairs']}, {r['left_out']} | {r['with_all']['ratio']:.3f} | 1 ± {r['stray']:.3f} |")
            else:
                yield f"| {name} | {bar} | {r['verdict']}: {r.get('why', '')} | | | | |"


def lines(here, judged):
    machine = here["machine"]
    yield f"# {machine['cpu']}, {machine['processors']} processors, {machine['date']}\n"
    yield ", ".join(f"{k} {v}" for k, v in machine["versions"].items()) + f". Load average at the start: {machine['load_average']:.2f}.\n"
    for name, why in machine.get("missing", {}).items():
        yield f"- without {name}: {why}"
    if judged:
        yield "\n## Verdicts\n"
        yield from verdicts(judged)
    yield "\n## Side by side\n\nMedians over rounds in which all took part, with 95 % intervals. They show; only verdicts judge.\n"
    yield from side_by_side(here["shows"])


def side_by_side(shows):
    order = {row.name: i for i, row in enumerate(rows.tables(rows.all_rows()))}
    for name, row in sorted(shows.items(), key=lambda item: order.get(item[0], len(order))):
        if "broken" in row:
            yield f"### {name}\n\nBroken: {row['broken']}"
        else:
            yield from (in_process if row["kind"] in ("jobs", "cold") else over_sockets)(name, row)
        yield ""


def write(kept):
    path = store.OUT / "results.md"
    judged = {row.name: kept.verdicts(row)[row.name] for row in rows.all_rows() if row.name in kept.verdicts(row)}
    path.write_text("\n".join(lines(kept.here, judged)) + "\n")
    return path


# ---- what belongs to the tree ----

def begun(shows):
    return min(row.get("date", "~") for row in shows.values())


def whole(here):
    """Whether every row was shown."""
    return {row.name for row in rows.tables(rows.all_rows())} <= {name for name, row in here["shows"].items() if "broken" not in row}


def paragraph(text):
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def page(commit, here):
    machine = here["machine"]
    yield "# Everybody side by side\n"
    yield paragraph("One run of `make bench`, written by `make bench-table`: medians over rounds in which all took part, with 95 % intervals, "
                    "least time or CPU first. How each figure is taken is in `bench/README.md`. This page shows; "
                    "[benchmarks.md](benchmarks.md) judges.")
    yield f"{machine['cpu']}, {machine['processors']} processors, begun {begun(here['shows'])}, commit {commit}.\n"
    yield paragraph(", ".join(f"{k} {v}" for k, v in machine["versions"].items()) + ".")
    yield from side_by_side(here["shows"])


def keep(kept):
    """Writes the newest run of all rows on this machine into the tree. None: there is none."""
    found = [(begun(here["shows"]), commit, here) for commit, here in kept.all[kept.cpu].items() if here["shows"] and whole(here)]
    if not found:
        return None
    _date, commit, here = max(found, key=lambda f: f[0])
    PAGE.write_text("\n".join(page(commit, here)).rstrip("\n") + "\n")
    return PAGE
