"""One shape for every row of the table: medians of interleaved runs, and a ratio that says more is better."""

import statistics
from collections.abc import Awaitable, Callable
from typing import Any

RUNS = 3


def interleaved(
    sides: dict[str, Callable[[], dict[str, float]]], runs: int = RUNS
) -> dict[str, dict[str, float]]:
    """Runs the sides in turns, so that a busy moment hits all; returns the median of each figure."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(runs):
        for side, measure in sides.items():
            found[side].append(measure())
    return _medians(found)


async def in_turns(
    sides: dict[str, Callable[[], Awaitable[dict[str, float]]]], runs: int = RUNS
) -> dict[str, dict[str, float]]:
    """The same for sides that are waited for."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(runs):
        for side, measure in sides.items():
            found[side].append(await measure())
    return _medians(found)


def _medians(found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        side: {figure: statistics.median(run[figure] for run in measured) for figure in measured[0]}
        for side, measured in found.items()
    }


def at_least(
    name: str, ours: float, theirs: float, peer: str, unit: str, reach: float
) -> dict[str, Any]:
    """A row of cost: the peer's over ours must reach so much."""
    return _row(name, ours, theirs, peer, unit, theirs / max(ours, 1e-9), f">= {reach:g}x", reach)


def at_most(
    name: str, ours: float, theirs: float, peer: str, unit: str, reach: float
) -> dict[str, Any]:
    """A row of cost: ours over the peer's must stay below so much."""
    ratio = ours / max(theirs, 1e-9)
    row = _row(name, ours, theirs, peer, unit, ratio, f"<= {reach:g}x", reach)
    return {**row, "holds": ratio <= reach}


def below(name: str, ours: float, limit: float, unit: str) -> dict[str, Any]:
    """A row without a peer: a figure of ours under its limit."""
    return at_most(name, ours, limit, "limit", unit, 1.0)


def rate_at_least(
    name: str, ours: float, theirs: float, peer: str, unit: str, reach: float
) -> dict[str, Any]:
    """A row of a rate, such as MB/s: ours over the peer's must reach so much."""
    return _row(name, ours, theirs, peer, unit, ours / max(theirs, 1e-9), f">= {reach:g}x", reach)


def _row(
    name: str,
    ours: float,
    theirs: float,
    peer: str,
    unit: str,
    ratio: float,
    reach: str,
    bound: float,
) -> dict[str, Any]:
    return {
        "name": name,
        "ours": round(ours, 4),
        "theirs": round(theirs, 4),
        "peer": peer,
        "unit": unit,
        "ratio": round(ratio, 2),
        "reach": reach,
        "holds": ratio >= bound,
    }
