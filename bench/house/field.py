"""Who stands in a row, started: the programs of its job, bound to their processors, warmed up."""

import contextlib
import functools
import os

import contest
import peers
import stats


class Absent(Exception):
    """Our own side of a row cannot take part."""


def processors(workers):
    """For the program under load, and for the load: one each where there are two; all for more workers."""
    here = sorted(os.sched_getaffinity(0))
    if len(here) < 2:
        return set(here), set(here)
    if workers > 1:
        return set(here), set(here)
    return {here[0]}, {here[1]}


@functools.cache
def half_rate(connections):
    """Half of what the edge-triggered control reaches in a closed loop, here and now."""
    cpus, load_cpus = processors(1)
    control = contest.Server("epoll-edge", peers.LOAD, {"connections": connections}, peers.ECHO["epoll-edge"](1), cpus, load_cpus)
    try:
        return int(stats.median([contest.figure(control.slice(0.5), "throughput") for _ in range(5)]) / 2)
    finally:
        control.close()


def start(row, name):
    """A running contender, or None if it is not here."""
    cpus, load_cpus = processors(row.workers)
    if row.kind in ("jobs", "cold"):
        command = peers.JOBS[name](row.workers)
        if command is None:
            peers.missing(name, "not built")
            return None
        job = "switch" if name == "bare" else row.job
        if row.kind == "cold":
            return contest.ColdJobs(name, command, cpus, job, row.size)
        return contest.Jobs(name, command, cpus, job, None if name == "bare" else row.size)
    command = peers.HTTP[name](row.workers, row.job) if row.kind == "http" else peers.ECHO[name](row.workers)
    if command is None:
        peers.missing(name, "not built")
        return None
    load = dict(row.load)
    if load.get("rate") == "half":
        load["rate"] = half_rate(load["connections"])
    return contest.Server(name, peers.LOAD, load, command, cpus, load_cpus)


@contextlib.contextmanager
def assembled(row, names, slice_s):
    """The contenders of these names that are here and can do the job, warmed up, ended afterwards whatever happens."""
    there = []
    try:
        for name in names:
            contender = None
            try:
                contender = start(row, name)
                if contender:
                    contender.warm_up(slice_s)
                    there.append(contender)
            except contest.Broken as e:
                if contender:
                    contender.close()
                peers.missing(f"{name} in {row.name}", str(e))
                if name == row.ours:
                    raise Absent(str(e)) from e
        yield there
    finally:
        for contender in there:
            contender.close()
