"""Rows that a campaign has begun and not settled, kept in the tree (bench/pairs/, a file a row), so that another machine
of the same CPU model goes on with them as long as what is measured, who takes part and in which version, and the number
of processors stay the same. A file holds what the row's open bars need and no more: the slices of their pairs without
what nobody asks for, of latencies what lies beyond the median."""

import json
import re

import contest
import peers
import stats
import store
import verdict

FOLDER = peers.ROOT / "bench" / "pairs"
FIGURES = ("ops", "wall_ns", "cpu_ns", "switches", "others")


def circumstances(kept, row):
    """What has to be the same for pairs of two machines to count together, beside the CPU model."""
    machine = kept.here.get("machine", {})
    versions = {k: series(v) if k == "kernel" else v for k, v in machine.get("versions", {}).items()}
    return {"commit": kept.commit_of(row), "processors": machine.get("processors"), "versions": versions}


def series(release):
    """Of a kernel's release: 6.18 of 6.18.3-any."""
    return ".".join(re.split(r"[.-]", release)[:2])


def is_of_a_commit(kept, row):
    return kept.commit_of(row) != "unknown" and "+" not in kept.commit_of(row)


# ---- what is kept ----

def median(histogram):
    return stats.quantile(stats.pool([histogram]), 0.5)


def beyond(histogram, edge):
    """What no quantile above that edge can tell from the whole."""
    return [[edge, sum(count for at, count in histogram if at <= edge)]] + [[at, count] for at, count in histogram if at > edge]


def needed(case):
    """{comparator: whether its latencies are} of a row's open bars. Whoever is chosen yet, ours has to stand beside."""
    found = {verdict.AGAIN: any(bar.metric in contest.QUANTILES for bar in case.open_bars())}
    for bar in case.open_bars():
        name = verdict.comparator(bar, case.kept["choice"])
        if name:
            found[name] = found.get(name, False) or bar.metric in contest.QUANTILES
    return found


def packed(case):
    """The slices of the pairs that are needed, each once, and the pairs as places among them. Latencies are cut at one
    edge, which is below the median of any slices together."""
    slices, places, pairs, wanted = [], {}, {}, needed(case)
    of_pairs = {name: [s for pair in case.pairs.get(name, ()) for s in pair] for name in wanted}
    asked = {id(s): median(s["latency"]) for name in wanted if wanted[name] for s in of_pairs[name]}
    edge = min(asked.values(), default=0)
    for name in wanted:
        for s in of_pairs[name]:
            if id(s) not in places:
                places[id(s)] = len(slices)
                latency = {"latency": beyond(s["latency"], edge)} if id(s) in asked else {}
                slices.append({k: s[k] for k in FIGURES if k in s} | latency)
        pairs[name] = [[places[id(a)], places[id(b)]] for a, b in case.pairs.get(name, ())]
    return {"slices": slices, "pairs": pairs}


def path_of(kept, row):
    return FOLDER / store.file_name(kept.cpu) / f"{row}.json"


def keep(kept, all_rows):
    """Of the rows that were judged here: writes what is open, and takes away what is not any more."""
    for row in all_rows:
        if not is_of_a_commit(kept, row) or not kept.verdicts(row).get(row.name, {}).get("bars"):
            continue
        case, path = verdict.Case(row, kept, None), path_of(kept, row.name)
        if case.open_bars() and any(case.pairs.values()):
            path.parent.mkdir(parents=True, exist_ok=True)
            store.write(path, circumstances(kept, row) | {"row": case.kept} | packed(case))
        else:
            path.unlink(missing_ok=True)


# ---- what is taken up ----

def worth(of_row, pairs):
    """A second run, of longer slices, more than the first; then who has more."""
    return of_row.get("slice_s", 0), sum(map(len, pairs.values()))


def answers(case):
    """Whether its pairs have what its open bars ask for: bars may have changed since."""
    chosen = case.kept["choice"].values()
    if any(bar.metric not in of for bar in case.open_bars() if isinstance(bar.against, tuple) for of in chosen):
        return False
    return all("latency" in s for name, asks in needed(case).items() if asks for pair in case.pairs.get(name, ()) for s in pair)


def take_up(kept, all_rows):
    """What the tree has more of than was found here."""
    for row in all_rows:
        path = path_of(kept, row.name)
        if not is_of_a_commit(kept, row) or not path.exists():
            continue
        found, mine, here = json.loads(path.read_text()), kept.load_pairs(row), kept.verdicts(row)
        before = here.get(row.name)
        if any(found.get(k) != v for k, v in circumstances(kept, row).items()) or worth(found["row"], found["pairs"]) <= worth(before or {}, mine):
            continue
        here[row.name] = found["row"]
        kept.keep_slices(row, found["slices"], found["pairs"])
        if not answers(verdict.Case(row, kept, None)):
            here.pop(row.name)
            kept.save_pairs(row, mine)
            if before is not None:
                here[row.name] = before
