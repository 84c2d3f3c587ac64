"""`make bench`: every row shown, all programs side by side in interleaved rounds. It judges nothing: that is verdict.py's."""

import time

import contest
import field
import stats

ROUNDS, QUICK_ROUNDS = 9, 5
SLICE_S, QUICK_SLICE_S = 0.6, 0.3


def summary(slices):
    """Medians over rounds with their 95 % intervals, without the slices that the rule leaves out."""
    kept = [s for s in slices if not contest.disturbed(s)]
    found = {"slices": len(slices), "left_out": len(slices) - len(kept)}
    used = kept or slices
    for metric in ("wall", "cpu", "throughput"):
        values = [contest.figure(s, metric) for s in used]
        found[metric] = {"median": stats.median(values), "interval": stats.interval(values, 0.95)}
    if "latency" in used[0]:
        pooled = stats.pool([s["latency"] for s in used])
        for name, q in contest.QUANTILES.items():
            found[name] = stats.quantile(pooled, q)
    return found


def show(row, rounds, slice_s, progress):
    """One row: {name: figures}."""
    slices = {}
    with field.assembled(row, (row.ours,) + row.peers, slice_s) as contenders:
        def each(contender, number, slice_):
            slices.setdefault(contender.name, []).append(slice_)
            progress(row, number, rounds)
        contest.rounds(contenders, rounds, slice_s, each)
        found = {name: summary(s) for name, s in slices.items()}
        for contender in contenders:
            found[contender.name]["version"] = contender.version
            if isinstance(contender, contest.Server):
                found[contender.name]["memory"] = contender.memory()
    return {"job": row.job, "kind": row.kind, "workers": row.workers, "size": row.size, "load": dict(row.load), "ours": row.ours,
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "found": found}


def show_all(rows, rounds, slice_s, store, say):
    begun = time.monotonic()
    for number, row in enumerate(rows):
        def progress(row, round_, rounds, number=number):
            done = number + (round_ + 1) / rounds
            left = (time.monotonic() - begun) / done * (len(rows) - done)
            say(f"{number + 1}/{len(rows)} {row.name}: round {round_ + 1} of {rounds}, about {left / 60:.1f} min left")
        try:
            store.here["shows"][row.name] = show(row, rounds, slice_s, progress)
        except (field.Absent, contest.Broken) as e:
            store.here["shows"][row.name] = {"broken": str(e)}
            say(f"{row.name}: {e}", keep=True)
        store.save()
