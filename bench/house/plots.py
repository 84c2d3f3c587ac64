#!/usr/bin/env python3
"""Plots of what was shown, as SVG and PNG: plots.py RESULTS.json CPU COMMIT FOLDER. A program of its own, because matplotlib may belong to another
Python than the one that measures."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plot  # noqa: E402

# weft in a colour, the hand-written loops in greys, everybody else in muted ones, the same in each picture.
COLOURS = {"weft": "#c2410c", "weft-uring": "#c2410c", "weft-epoll": "#f59e0b", "weft-uring-per-core": "#c2410c", "weft-epoll-per-core": "#f59e0b", "weft-uring-single-io": "#fb923c", "weft-epoll-single-io": "#fde68a",
           "go": "#0ea5e9", "tokio": "#7c3aed", "monoio": "#a78bfa", "boost": "#16a34a", "erlang": "#be185d", "libuv": "#84cc16", "libevent": "#65a30d", "libev": "#4d7c0f",
           "threads": "#0f766e", "bare": "#9ca3af", "epoll-edge": "#374151", "epoll-level": "#6b7280", "uring-plain": "#d1d5db",
           "uring-tuned": "#9ca3af", "uring-multishot": "#111827", "uring-multishot-2k": "#4b5563"}


def save(figure, folder, name):
    figure.tight_layout()
    for kind in ("svg", "png"):
        figure.savefig(folder / f"{name}.{kind}", dpi=120)
    plot.close(figure)


def bars(axes, found, metric, scale, label):
    """One bar a program, the best on top, with its interval; a quantile has none."""
    value = lambda f: f[metric] if isinstance(f[metric], (int, float)) else f[metric]["median"]
    names = sorted(found, key=lambda n: value(found[n]), reverse=metric != "throughput")
    for at, name in enumerate(names):
        f = found[name][metric]
        middle = value(found[name])
        error = None if isinstance(f, (int, float)) else [[(middle - f["interval"][0]) / scale], [(f["interval"][1] - middle) / scale]]
        axes.barh(at, middle / scale, xerr=error, color=COLOURS.get(name, "#999999"), ecolor="#444444", height=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)


def in_process(name, row, folder):
    figure, axes = plot.subplots(1, 2, figsize=(10, 0.5 + 0.45 * len(row["found"])))
    bars(axes[0], row["found"], "wall", 1, "ns an operation")
    bars(axes[1], row["found"], "cpu", 1, "ns of CPU an operation")
    figure.suptitle(f"{name} ({row['workers']} worker{'s' if row['workers'] > 1 else ''})")
    save(figure, folder, name)


def over_sockets(name, row, folder):
    figure, axes = plot.subplots(1, 3, figsize=(14, 0.8 + 0.35 * len(row["found"])))
    bars(axes[0], row["found"], "throughput", 1000, "thousand messages a second")
    bars(axes[1], row["found"], "cpu", 1000, "µs of the server's CPU a message")
    bars(axes[2], row["found"], "p99", 1000, "µs, 99th percentile")
    figure.suptitle(f"{name}: " + ", ".join(f"{k} {v}" for k, v in row["load"].items()))
    save(figure, folder, name)


def scaling(shows, metric, scale, label, name, folder):
    """How a figure grows with the connections."""
    points = {}
    for row in shows.values():
        load = row.get("load", {})
        if row.get("kind") == "echo" and set(load) == {"connections"} and row["workers"] == 1:
            for who, f in row["found"].items():
                value = f[metric]["median"] if metric != "memory" else f["memory"]["rss"] + f["memory"]["page_tables"]
                points.setdefault(who, {})[load["connections"]] = value / scale
    if not any(len(p) > 1 for p in points.values()):
        return
    figure, axes = plot.subplots(figsize=(8, 5))
    for who, line in sorted(points.items()):
        axes.plot(*zip(*sorted(line.items())), marker="o", markersize=4, label=who, color=COLOURS.get(who, "#999999"))
    axes.set_xscale("log")
    axes.set_xlabel("connections")
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, ncol=2, frameon=False)
    save(figure, folder, name)


def main(results, cpu, commit, folder):
    shows = {n: r for n, r in json.loads(pathlib.Path(results).read_text())[cpu][commit]["shows"].items() if r.get("found")}
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in shows.items():
        (in_process if row["kind"] in ("jobs", "cold") else over_sockets)(name, row, folder)
    scaling(shows, "throughput", 1000, "thousand messages a second", "scaling-throughput", folder)
    scaling(shows, "cpu", 1000, "µs of the server's CPU a message", "scaling-cpu", folder)
    scaling(shows, "memory", 2**20, "MiB of the server, page tables included", "scaling-memory", folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
