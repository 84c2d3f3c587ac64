"""Medians, intervals and quantiles. Everything here is a function of its arguments and a seed: the same slices give the same verdict."""

import bisect
import random

RESAMPLES = 2000


def median(values):
    v = sorted(values)
    middle = len(v) // 2
    return v[middle] if len(v) % 2 else (v[middle - 1] + v[middle]) / 2


def interval(values, level, statistic=median, seed=1):
    """Where the statistic lies, level of 1, when the values are drawn anew (bootstrap, percentiles)."""
    draw = random.Random(seed)
    drawn = sorted(statistic(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    tail = (1 - level) / 2
    return drawn[int(tail * RESAMPLES)], drawn[min(RESAMPLES - 1, int((1 - tail) * RESAMPLES))]


def pool(histograms):
    """One histogram of several: sorted edges and how many lie at or below each."""
    counts = {}
    for histogram in histograms:
        for edge, count in histogram:
            counts[edge] = counts.get(edge, 0) + count
    edges, below, total = sorted(counts), [], 0
    for edge in edges:
        total += counts[edge]
        below.append(total)
    return edges, below


def quantile(pooled, q):
    edges, below = pooled
    return edges[bisect.bisect_left(below, q * below[-1])] if edges else float("nan")


def samples_beyond(histograms, q):
    return sum(count for h in histograms for _, count in h) * (1 - q)


def quantile_ratio(pairs, q, level, seed=1):
    """The ratio of a quantile of both sides, pooled, and its interval by drawing pairs of slices anew: what both slices of
    a pair have in common, the mood that the machine was in, is in no ratio then."""
    draw = random.Random(seed)

    def of(drawn):
        ours, theirs = zip(*drawn)
        return quantile(pool(ours), q) / quantile(pool(theirs), q)
    found = sorted(of(draw.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES // 10))
    tail = (1 - level) / 2
    return of(pairs), found[int(tail * len(found))], found[min(len(found) - 1, int((1 - tail) * len(found)))]
