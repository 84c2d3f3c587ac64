"""Rows that a campaign has begun and not settled, kept in the tree (bench/pairs/, a file a row), so that another machine of
the same CPU model goes on with them as long as what is measured stays the same. A file holds what the row's open bars
need and no more: the slices of their pairs without what nobody asks for, of latencies what lies beyond the median."""

import json

import contest
import peers
import stats
import store
import verdict

FOLDER = peers.ROOT / "bench" / "pairs"
FIGURES = ("ops", "wall_ns", "cpu_ns", "switches", "others")


def upper_half(histogram):
    """What no quantile from the median on can tell from the whole."""
    middle = stats.quantile(stats.pool([histogram]), 0.5)
    below = sum(count for edge, count in histogram if edge <= middle)
    return [[middle, below]] + [[edge, count] for edge, count in histogram if edge > middle]


def slim(slice_, with_latency):
    found = {k: slice_[k] for k in FIGURES if k in slice_}
    return found | {"latency": upper_half(slice_["latency"])} if with_latency else found


def needed(case):
    """{comparator: whether its latencies are} of a row's open bars."""
    found = {verdict.AGAIN: False}
    for bar in case.open_bars():
        name, asks = verdict.comparator(bar, case.kept["choice"]), bar.metric in contest.QUANTILES
        if name:
            found[name] = found.get(name, False) or asks
            found[verdict.AGAIN] = found[verdict.AGAIN] or asks
    return found


def packed(case):
    """The slices of the pairs that are needed, each once, and the pairs as places among them."""
    slices, places, pairs, wanted = [], {}, {}, needed(case)
    asked = {id(s) for name, of in case.pairs.items() if wanted.get(name) for pair in of for s in pair}
    for name, of in case.pairs.items():
        if name in wanted:
            for s in (s for pair in of for s in pair):
                if id(s) not in places:
                    places[id(s)] = len(slices)
                    slices.append(slim(s, id(s) in asked))
            pairs[name] = [[places[id(a)], places[id(b)]] for a, b in of]
    return {"slices": slices, "pairs": pairs}


def path_of(kept, row):
    return FOLDER / store.file_name(kept.cpu) / f"{row}.json"


def keep(kept, all_rows):
    """Writes what is open at this commit, and takes away what is not any more."""
    wanted = {}
    for row in all_rows:
        if row.name in kept.here["verdicts"]:
            case = verdict.Case(row, kept, None)
            if case.open_bars() and any(case.pairs.values()):
                wanted[path_of(kept, row.name)] = {"commit": kept.commit, "row": case.kept} | packed(case)
    folder = path_of(kept, "").parent
    for old in set(folder.glob("*.json")) - set(wanted):
        old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in wanted.items():
        store.write(path, content)


def take_up(kept):
    """What the tree has of rows that were not judged here yet."""
    for path in sorted(path_of(kept, "").parent.glob("*.json")):
        found = json.loads(path.read_text())
        if found["commit"] == kept.commit and path.stem not in kept.here["verdicts"]:
            kept.here["verdicts"][path.stem] = found["row"]
            kept.keep_slices(path.stem, found["slices"], found["pairs"])
