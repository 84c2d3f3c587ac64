"""`make bench-verdict ROW=...`: judges the bars of one row. Ours and the comparator both run; slices of 0.6 s alternate A B B A; the ratio is taken
inside each pair. It looks after 16, 48 and 96 pairs, with 98 % intervals so that looking three times costs nothing, and stops at the first look that
settles it. Before that, ours against itself: a verdict closer to the bar than that strays from 1 is unresolved."""

import contest
import field
import stats

LOOKS = (16, 48, 96)
LEVEL = 0.98
SLICE_S = 0.6
SELF_PAIRS = 16
CHOICE_ROUNDS = 5
WIDEST = 0.03            # half of an interval relative to the ratio; beyond it after the last look: not measured
WIDEST_QUANTILE = 0.10
NOT_OURS = "the machine was not ours: another run begins anew"
SAMPLES_BEYOND = 10000   # a quantile counts only with so many samples beyond it, on each side


def key(bar):
    against = "best of " + " ".join(bar.against) if isinstance(bar.against, tuple) else bar.against
    return f"{bar.metric} {'>=' if bar.at_least else '<='} {bar.limit:.3g} of {against}"


def ratio(pairs, metric):
    """{ratio, low, high} of ours / theirs, and whether there are samples enough."""
    if metric in contest.QUANTILES:
        q = contest.QUANTILES[metric]
        ours, theirs = [a["latency"] for a, _ in pairs], [b["latency"] for _, b in pairs]
        value, low, high = stats.quantile_ratio(ours, theirs, q, LEVEL)
        enough = min(stats.samples_beyond(ours, q), stats.samples_beyond(theirs, q)) >= SAMPLES_BEYOND
    else:
        values = [contest.figure(a, metric) / contest.figure(b, metric) for a, b in pairs]
        value, (low, high), enough = stats.median(values), stats.interval(values, LEVEL), True
    return {"ratio": value, "low": low, "high": high}, enough


def judge(found, bar, stray):
    """met, not met or unresolved: on which side of the bar the whole interval lies, farther from it than ours strays from itself."""
    margin = stray * bar.limit
    low, high = found["low"], found["high"]
    above, below = low >= bar.limit + margin, high <= bar.limit - margin
    if bar.at_least:
        above, below = below, above
    return "met" if below else "not met" if above else "unresolved"


def undisturbed(pairs):
    return [p for p in pairs if not any(map(contest.disturbed, p))]


def not_ours(pairs):
    """Others used the machine so much that what is left would be a choice."""
    return len(undisturbed(pairs)) < len(pairs) * (1 - contest.LEFT_OUT_MOST)


def settle(pairs, bar, stray, last):
    """What the pairs say so far."""
    kept = undisturbed(pairs)
    result = {"pairs": len(pairs), "left_out": len(pairs) - len(kept), "with_all": ratio(pairs, bar.metric)[0]}
    if not_ours(pairs):
        return result | {"verdict": "not measured", "why": NOT_OURS}
    found, enough = ratio(kept, bar.metric)
    result |= found | {"verdict": judge(found, bar, stray)}
    width = (found["high"] - found["low"]) / 2 / found["ratio"]
    widest = WIDEST_QUANTILE if bar.metric in contest.QUANTILES else WIDEST
    if not enough:
        result |= {"verdict": "unresolved" if not last else "not measured", "why": "too few samples beyond the quantile"}
    elif last and result["verdict"] == "unresolved" and width > widest:
        result |= {"verdict": "not measured", "why": f"the interval is still {width:.1%} wide"}
    return result


def choose(row, names, metric, at_least, kept, say):
    """The comparator with the best median among several, in a run of its own that is done once."""
    about = f"{metric} of {' '.join(names)}"
    if about not in kept:
        medians = {}
        with field.assembled(row, names, SLICE_S) as contenders:
            slices = {}
            contest.rounds(contenders, CHOICE_ROUNDS, SLICE_S, lambda c, _n, s: slices.setdefault(c.name, []).append(s))
            for name, of in slices.items():
                medians[name] = stats.quantile(stats.pool([s["latency"] for s in of]), contest.QUANTILES[metric]) \
                    if metric in contest.QUANTILES else stats.median([contest.figure(s, metric) for s in of])
        if not medians:
            return None
        kept[about] = {"chosen": (max if at_least else min)(medians, key=medians.get), "medians": medians}
        say(f"{row.name}: {about}: {kept[about]['chosen']}", keep=True)
    return kept[about]["chosen"]


def play(row, other, wanted, pairs, say, save, what):
    """Pairs of ours against the other until there are `wanted`; what there is from an earlier run counts."""
    if len(pairs) >= wanted:
        return True
    slice_s = row.slice_s or SLICE_S
    with field.assembled(row, (row.ours, other), slice_s) as contenders:
        if len(contenders) < 2:
            return False
        for pair in contest.pairs(*contenders, wanted - len(pairs), slice_s, len(pairs)):
            pairs.append(pair)
            say(f"{row.name}: {what}: pair {len(pairs)} of {wanted}, about {(wanted - len(pairs)) * 2 * slice_s / 60:.1f} min to the next look")
            if len(pairs) % 4 == 0:
                save()
    save()
    return True


def strays(pairs, metric):
    """How far ours against itself is from 1."""
    kept = undisturbed(pairs) or pairs
    return abs(ratio(kept, metric)[0]["ratio"] - 1)


def verdict(row, store, say):
    """Judges every bar of the row; what was judged before at this commit on this CPU stays."""
    kept = store.here["verdicts"].setdefault(row.name, {"pairs": {}, "choices": {}, "bars": {}})
    pairs = kept["pairs"]
    if not play(row, row.ours, SELF_PAIRS, pairs.setdefault("self", []), say, store.save, "against itself"):
        raise field.Absent(f"{row.ours} cannot take part")
    if not_ours(pairs["self"]):
        pairs["self"] = []
        kept["given_up"] = kept.get("given_up", 0) + 1
        raise contest.Broken(NOT_OURS)
    for bar in row.bars:
        if kept["bars"].get(key(bar), {}).get("final"):
            continue
        against = choose(row, bar.against, bar.metric, bar.at_least, kept["choices"], say) if isinstance(bar.against, tuple) else bar.against
        stray = strays(pairs["self"], bar.metric)
        result = {"verdict": "not measured", "why": "the comparator is not here"}
        for look in LOOKS if against else ():
            if not play(row, against, look, pairs.setdefault(against, []), say, store.save, f"against {against}"):
                break
            result = settle(pairs[against], bar, stray, look == LOOKS[-1]) | {"against": against, "stray": stray}
            if result["verdict"] in ("met", "not met"):
                break
            if result.get("why") == NOT_OURS:
                pairs[against] = []
                kept["given_up"] = kept.get("given_up", 0) + 1
                break
        kept["bars"][key(bar)] = result | {"final": result["verdict"] in ("met", "not met") or (result.get("pairs", 0) >= LOOKS[-1] and result.get("why") != NOT_OURS)}
        store.save()
        say(f"{row.name}: {sentence(bar, result)}", keep=True)
    return kept


def sentence(bar, result):
    text = f"{key(bar)}: {result['verdict']}"
    if "ratio" in result:
        text += f", {result['ratio']:.3f} [{result['low']:.3f}, {result['high']:.3f}], {result['pairs']} pairs"
        text += f", {result['left_out']} left out (with them {result['with_all']['ratio']:.3f}); against itself 1 ± {result['stray']:.3f}"
    return text + (f" ({result['why']})" if "why" in result else "")
