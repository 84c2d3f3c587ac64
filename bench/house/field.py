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
    """A running contender, or None if it is not here. NAME@N is that program at another size: so many operations, or connections."""
    cpus, load_cpus = processors(row.workers)
    full_name, size = name, row.size
    name, _, other_size = name.partition("@")
    load = dict(row.load)
    if other_size and row.kind in ("jobs", "cold"):
        size = int(other_size)
    elif other_size:
        load["connections"] = int(other_size)
    if "~" in name and name not in peers.JOBS and name not in peers.ECHO:
        return None  # a choice that was not built, as has been said
    if row.kind in ("jobs", "cold"):
        command = peers.JOBS[name](row.workers)
        if command is None:
            peers.missing(name, "not built")
            return None
        job = "switch" if name == "bare" else row.job
        if row.kind == "cold":
            return contest.ColdJobs(full_name, command, cpus, job, size)
        return contest.Jobs(full_name, command, cpus, job, None if name == "bare" else size)
    tables = {"http": peers.HTTP, "server": peers.SERVERS}
    command = tables[row.kind][name](row.workers, row.job) if row.kind in tables else peers.ECHO[name](row.workers)
    if command is None:
        peers.missing(name, "not built")
        return None
    if load.get("rate") == "half":
        load["rate"] = half_rate(load["connections"])
    return contest.Server(full_name, peers.LOAD, load, command, cpus, load_cpus)


@contextlib.contextmanager
def assembled(row, names, slice_s, again=None):
    """The contenders of these names that are here and can do the job, warmed up, ended afterwards whatever happens. `again` is the name of ours
    a second time."""
    there = []
    try:
        for name in names:
            contender = None
            try:
                contender = start(row, row.ours if name == again else name)
                if contender:
                    contender.name = name
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
