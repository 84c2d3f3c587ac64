"""Judges the bars of a row. Ours and all comparators run; slices of 0.6 s alternate, and the ratio is taken inside each
pair (contest.plan says in which order). It looks after 16, 48 and 96 pairs, with 98 % intervals so that looking three
times costs nothing, and a bar is settled at the first look that settles it. Those whose interval is still too wide after
the last look begin anew, once, with slices as much longer as that asks for. Among the pairs are as many of ours against
itself: a verdict closer to the bar than that strays from 1 is unresolved. All bars with the same comparator are judged
by the same pairs, whatever their metric."""

import math
import time

import contest
import field
import stats

LOOKS = (16, 48, 96)
LEVEL = 0.98
SLICE_S = 0.6
CHOICE_ROUNDS = 5
SAVE_EVERY = 4           # rounds
PER_START = 8            # pairs; then everybody is started anew, for where a program's memory came to lie is chance, too
WIDEST = 0.03            # half of an interval relative to the ratio; beyond it after the last look: not measured
WIDEST_QUANTILE = 0.10
LONGEST = 8              # a slice of a second run is at most so many times as long as of the first
SPARE = 1.25             # and so much longer than what the first lacked
FEW = "too few samples beyond the quantile"
NOT_OURS = "the machine was not ours: another run begins anew"
ABSENT = "the comparator is not here"
AGAIN = "self"           # ours a second time
SAMPLES_BEYOND = 10000   # a quantile counts only with so many samples beyond it, on each side


class OutOfTime(Exception):
    """The time that a campaign was given is used up."""


def key(bar):
    against = "best of " + " ".join(bar.against) if isinstance(bar.against, tuple) else bar.against
    return f"{bar.metric} {'>=' if bar.at_least else '<='} {bar.limit:.3g} of {against}"


# ---- what pairs say ----

def ratio(pairs, metric):
    """{ratio, low, high} of ours / theirs, and whether there are samples enough."""
    if metric in contest.QUANTILES:
        q = contest.QUANTILES[metric]
        latencies = [(a["latency"], b["latency"]) for a, b in pairs]
        value, low, high = stats.quantile_ratio(latencies, q, LEVEL)
        enough = min(stats.samples_beyond(side, q) for side in zip(*latencies)) >= SAMPLES_BEYOND
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


def hopeless(pairs, look):
    """So many are lost already that the look cannot count, whatever the rest is."""
    return len(pairs) - len(undisturbed(pairs)) > look * contest.LEFT_OUT_MOST


def half_width(found):
    return (found["high"] - found["low"]) / 2 / found["ratio"]


def widest(bar):
    return WIDEST_QUANTILE if bar.metric in contest.QUANTILES else WIDEST


def settle(pairs, bar, stray, last):
    """What the pairs say so far."""
    kept = undisturbed(pairs)
    result = {"pairs": len(pairs), "left_out": len(pairs) - len(kept), "with_all": ratio(pairs, bar.metric)[0]}
    if not_ours(pairs):
        return result | {"verdict": "not measured", "why": NOT_OURS}
    found, enough = ratio(kept, bar.metric)
    result |= found | {"verdict": judge(found, bar, stray)}
    width = half_width(found)
    if not enough:
        result |= {"verdict": "unresolved" if not last else "not measured", "why": FEW}
    elif last and result["verdict"] == "unresolved" and width > widest(bar):
        result |= {"verdict": "not measured", "why": f"the interval is still {width:.1%} wide"}
    return result


def times_longer(result, bar):
    """How much longer slices have to be for an interval narrow enough: it narrows with the root of the time measured.
    Samples beyond a quantile are not counted in a result: twice as many."""
    lacks = 2 / SPARE if result.get("why") == FEW else (half_width(result) / widest(bar)) ** 2
    return min(max(math.ceil(SPARE * lacks), 2), LONGEST)


def strays(pairs, metric):
    """How far ours against itself is from 1."""
    kept = undisturbed(pairs) or pairs
    return abs(ratio(kept, metric)[0]["ratio"] - 1)


# ---- who is compared with ----

def medians(slices, metrics):
    """Of one program's slices, each metric."""
    return {m: stats.quantile(stats.pool([s["latency"] for s in slices]), contest.QUANTILES[m]) if m in contest.QUANTILES
            else stats.median([contest.figure(s, m) for s in slices]) for m in metrics}


def candidates(row):
    """Everybody that some bar takes the best of."""
    return list(dict.fromkeys(name for bar in row.bars if isinstance(bar.against, tuple) for name in bar.against))


def comparator(bar, choice):
    """Whom the bar is against: the one it names, or the best in the round set that was made for that; None: nobody."""
    if not isinstance(bar.against, tuple):
        return bar.against
    there = [name for name in bar.against if name in choice]
    return (max if bar.at_least else min)(there, key=lambda name: choice[name][bar.metric]) if there else None


# ---- judging a row ----

class Case:
    """One row, what is kept of it, and how it is judged: look(16), look(48), look(96), each going on where the one before ended."""

    def __init__(self, row, store, say, until=None):
        self.row, self.say, self.until = row, say, until
        self.store = store
        self.kept = store.verdicts(row).setdefault(row.name, {"choice": {}, "bars": {}})
        self.pairs = store.load_pairs(row)
        self.absent = set()
        self.first_s = row.slice_s or SLICE_S
        self.lengthen()

    @property
    def slice_s(self):
        """Of its pairs."""
        return self.kept.get("slice_s", self.first_s)

    def result(self, bar):
        return self.kept["bars"].get(key(bar), {})

    def too_wide(self):
        """Bars that the last look at the first run left so."""
        return [bar for bar in self.row.bars if (r := self.result(bar)).get("final") and r.get("verdict") == "not measured"
                and r.get("slice_s", self.first_s) == self.first_s]

    def is_open(self, bar):
        return not self.result(bar).get("final") or self.slice_s > self.first_s and bar in self.too_wide()

    def open_bars(self):
        return [bar for bar in self.row.bars if self.is_open(bar)]

    def lengthen(self):
        """When nothing is left but what is too wide, or against who is not here: a second run begins."""
        wide = self.too_wide()
        if wide and all(self.result(bar).get("why") == ABSENT for bar in self.open_bars()):
            self.kept["slice_s"] = round(self.first_s * max(times_longer(self.result(bar), bar) for bar in wide), 3)
            self.kept.pop("slice_took", None)
            self.pairs = {}
            self.store.save_pairs(self.row, self.pairs)

    def wanted(self, look):
        """Who needs more pairs for that look."""
        names = dict.fromkeys(comparator(bar, self.kept["choice"]) for bar in self.open_bars())
        there = [n for n in names if n and n not in self.absent]
        return [n for n in [AGAIN] + there if len(self.pairs.get(n, ())) < look] if there else []

    def undecided(self):
        if self.kept["choice"] or not self.open_bars():
            return []
        return [name for name in candidates(self.row) if name not in self.absent]

    def seconds(self, look):
        """About how long that look takes."""
        if not self.open_bars():
            return 0.0
        chosen = self.undecided()
        names = self.wanted(look)
        if chosen:
            names = names + [None] * len({(bar.metric, bar.against) for bar in self.open_bars() if isinstance(bar.against, tuple)})
        if not names:
            return 0.0
        rounds = max(look - min(len(self.pairs.get(n, ())) for n in names), 0)
        slices = rounds * (1.5 * len(names) + 0.5) + CHOICE_ROUNDS * len(chosen)
        return slices * self.kept.get("slice_took", self.slice_s * 1.05) + 0.7 * (len(names) * math.ceil(rounds / PER_START) + len(chosen))

    def save(self):
        self.store.save_pairs(self.row, self.pairs)
        self.store.save()

    def check_time(self):
        if self.until and time.monotonic() > self.until:
            raise OutOfTime

    def choose(self, contenders):
        """Once, in rounds of their own, before any pair."""
        metrics = sorted({bar.metric for bar in self.row.bars if isinstance(bar.against, tuple)})
        there = [c for c in contenders if c.name in candidates(self.row)]
        slices = {}

        def each(contender, number, slice_):
            self.check_time()
            slices.setdefault(contender.name, []).append(slice_)
            self.say(f"{self.row.name}: which control: round {number + 1} of {CHOICE_ROUNDS}")
        contest.rounds(there, CHOICE_ROUNDS, self.slice_s, each)
        self.kept["choice"] = {name: medians(of, metrics) for name, of in slices.items()}

    def play(self, ours, contenders, look):
        """Rounds until everybody who is wanted has pairs enough, or as many as one start may have: how many were made. Who
        has fewest is first, so that those of a run that was interrupted catch up."""
        begun, made = time.monotonic(), 0
        fewest = min((len(self.pairs.get(c.name, ())) for c in contenders if c.name in self.wanted(look)), default=look)
        enough = min(look, (fewest // PER_START + 1) * PER_START)
        while wanted := [c for c in contenders if c.name in self.wanted(enough)]:
            self.check_time()
            number = min(len(self.pairs.setdefault(c.name, [])) for c in wanted)
            now = [c for c in wanted if len(self.pairs[c.name]) == number]
            for name, pair in contest.pairs(ours, now, number, self.slice_s).items():
                self.pairs[name].append(pair)
                made += 1.5
            self.kept["slice_took"] = (time.monotonic() - begun) / made
            self.say(f"{self.row.name}: round {number + 1} of {look} with {' '.join(c.name for c in now)}")
            if number % SAVE_EVERY == SAVE_EVERY - 1:
                self.save()
        return made

    def pointless(self, look):
        """Everybody who is here has lost too many pairs for that look."""
        there = [name for name in self.wanted(look) if name not in self.absent]
        return all(hopeless(self.pairs.get(name, ()), look) for name in there)

    def start(self, look, undecided):
        """Everybody anew, and as many rounds as that is good for: how many were made."""
        names = list(dict.fromkeys(undecided + self.wanted(look)))
        with field.assembled(self.row, [self.row.ours] + names, self.slice_s, again=AGAIN) as contenders:
            there = {c.name for c in contenders}
            self.absent |= set(names) - there
            if undecided:
                self.choose(contenders)
            chosen = set(self.wanted(look))
            for contender in contenders[1:]:
                if contender.name not in chosen:
                    contender.close()
            return self.play(contenders[0], [c for c in contenders[1:] if c.name in chosen], look)

    def look(self, look):
        """Makes the pairs that are missing, and says what all of them say."""
        try:
            while (undecided := self.undecided()) or self.wanted(look):
                if not self.start(look, undecided) or self.pointless(look):
                    break
            self.judge(look)
        finally:
            self.save()

    def give_up(self, look):
        """Pairs that cannot count are thrown away, whatever they say. Whether ours against itself is among them."""
        lost = [name for name, pairs in self.pairs.items()
                if pairs and (not_ours(pairs) or hopeless(pairs, look))]
        for name in lost:
            self.pairs[name] = []
        self.kept["given_up"] = self.kept.get("given_up", 0) + len(lost)
        return lost

    def judge(self, look):
        lost = self.give_up(look)
        own = self.pairs.get(AGAIN)
        against = {bar: comparator(bar, self.kept["choice"]) for bar in self.open_bars()}
        if not own and any(name and name not in self.absent for name in against.values()):
            raise contest.Broken(NOT_OURS)
        for bar, name in against.items():
            pairs = self.pairs.get(name, [])[:look] if own else []
            last = look == LOOKS[-1] and len(pairs) >= look
            if not pairs:
                result = {"verdict": "not measured", "why": NOT_OURS if name in lost else ABSENT}
            else:
                stray = strays(own, bar.metric)
                result = settle(pairs, bar, stray, last) | {"against": name, "stray": stray, "slice_s": self.slice_s}
                result["final"] = result["verdict"] in ("met", "not met") or last
            result["date"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
            self.kept["bars"][key(bar)] = result
            self.say(f"{self.row.name}: {sentence(bar, result)}", keep=True)
        self.lengthen()


def sentence(bar, result):
    text = f"{key(bar)}: {result['verdict']}"
    if "ratio" in result:
        text += f", {result['ratio']:.3f} [{result['low']:.3f}, {result['high']:.3f}] of {result['against']}"
        text += f", {result['pairs']} pairs of {result['slice_s']:.1f} s, {result['left_out']} left out (with them {result['with_all']['ratio']:.3f}); against itself 1 ± {result['stray']:.3f}"
    return text + (f" ({result['why']})" if "why" in result else "")
