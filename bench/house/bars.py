"""The tables of bars in docs/benchmarks.md, and of choices in docs/design/choices.md: one section a CPU model, between
two marks, written from bench/verdicts.json and the rows. Rows that nobody has looked at on that CPU are counted, and
left out."""

import choices
import peers
import rows
import store
import verdict

PAGES = ((peers.ROOT / "docs" / "benchmarks.md", rows.all_rows), (peers.ROOT / "docs" / "design" / "choices.md", choices.all_rows))
NAMES = {"met": "**met**", "not met": "not met", "unresolved": "unresolved", "not measured": "not measured"}
METRICS = {"p999": "p99.9", "wall": "time", "cpu": "CPU", "switches": "context switches"}


def words(bar):
    """A bar as one reads it."""
    metric = METRICS.get(bar.metric, bar.metric)
    against = bar.against
    if isinstance(against, tuple):
        against = "the best control" if set(against) >= set(peers.SINKS) else "the best of " + ", ".join(against)
    else:
        against = {"bare": "a bare switch"}.get(against, against)
    return f"{metric} {'≥' if bar.at_least else '≤'} {bar.limit:.3g} of {against}"


def standing(result):
    """met, not met, unresolved or not measured: what is not settled yet is not measured."""
    if result is None or not (result.get("final") or result["verdict"] in ("met", "not met")):
        return "not measured"
    return result["verdict"]


def why(result):
    if result is None:
        return ""
    if standing(result) == "not measured" and "why" not in result:
        return f": {result['pairs']} pairs did not settle it yet"
    return f": {result['why']}" if "why" in result else ""


def slices(row, result):
    """Of what length, where they are of a second run."""
    longer = result.get("slice_s", 0) > (row.slice_s or verdict.SLICE_S)
    return f"{result['pairs']}" + (f" of {result['slice_s']:.3g} s" if longer else "")


def cells(row, bar, result):
    found = NAMES[standing(result)] + why(result)
    if result is None or "ratio" not in result:
        return f"| `{row.name}` | {words(bar)} | {found} | | | | | |"
    named = f" ({result['against']})" if isinstance(bar.against, tuple) else ""
    return (f"| `{row.name}` | {words(bar)}{named} | {found} | {result['ratio']:.3f} [{result['low']:.3f}, {result['high']:.3f}] "
            f"| {slices(row, result)}, {result['left_out']} | {result['with_all']['ratio']:.3f} | 1 ± {result['stray']:.3f} "
            f"| {result['date'][:10]}, {result['commit']} |")


def every(cpu, of=rows.all_rows):
    judged = store.judged().get(cpu, {})
    for row in of():
        for bar in row.bars:
            yield row, bar, judged.get(row.name, {}).get(verdict.key(bar))


def summary(cpu, of=rows.all_rows):
    count = dict.fromkeys(NAMES, 0)
    for _row, _bar, result in every(cpu, of):
        count[standing(result)] += 1
    return ", ".join(f"{n} {name}" for name, n in count.items())


def section(cpu, of):
    yield f"On {cpu}: {summary(cpu, of)}.\n"
    yield "| row | bar | verdict | ratio [98 %] | pairs, left out | with all | against itself | date, commit |"
    yield "|---|---|---|---|---|---|---|---|"
    looked_at = {row.name for row, _bar, result in every(cpu, of) if result}
    for row, bar, result in every(cpu, of):
        if row.name in looked_at:
            yield cells(row, bar, result)


def marks(cpu):
    return f"<!-- verdicts of {cpu}: written by bench/house -->\n", f"<!-- end of the verdicts of {cpu} -->\n"


def placed(text, cpu, lines):
    """The page with that section in its place, or at its end if it has none yet."""
    begin, end = marks(cpu)
    new = begin + "\n" + "\n".join(lines) + "\n\n" + end
    if begin in text and end in text:
        return text[:text.index(begin)] + new + text[text.index(end) + len(end):]
    return text.rstrip("\n") + "\n\n" + new


def write(cpu):
    for page, of in PAGES:
        if any(result for _row, _bar, result in every(cpu, of)):
            page.write_text(placed(page.read_text(), cpu, section(cpu, of)))
