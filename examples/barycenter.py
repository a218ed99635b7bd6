"""The barycenter alone: summarise a cloud of points by a few weighted atoms; no images, no network.

    python examples/barycenter.py
    python examples/barycenter.py --picture barycenter.svg

Three unequal clusters, four atoms. For each kind of weights, prints the cost (squared Wasserstein distance), the
number of iterations and the resulting weights, then checks the cost against an independent transport problem. The
picture shows the same in the plane: every point has the colour of the atom that it is sent to, discs are atoms and
their areas are weights. Its last row shows barycenters of two measures, a ring and a cross.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import wmdd

COLOURS = np.array(["#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#3182bd"])
INK, DISC = "#1f1f1f", 1200
"""Colour of lines and text; area of the disc of an atom with all the mass, in square points."""


def cloud(seed: int = 0) -> np.ndarray:
    """Return 300 points in 8 dimensions, `(300, 8)`: clusters of 200, 70 and 30."""
    draw = np.random.default_rng(seed)
    return np.concatenate([4 * draw.normal(size=8) + draw.normal(size=(count, 8)) for count in (200, 70, 30)])


def plane(seed: int = 0) -> np.ndarray:
    """Return 220 points in the plane, `(220, 2)`: a wide cluster of 130, a narrow one of 15, an arc of 75."""
    draw = np.random.default_rng(seed)
    angle = np.linspace(-0.15, 1.15, 75) * np.pi
    arc = np.stack([3.2 * np.cos(angle), 2.4 * np.sin(angle)], axis=1) + 0.12 * draw.normal(size=(75, 2))
    wide = [-0.2, -0.4] + draw.normal(size=(130, 2)) * [0.85, 0.6]
    narrow = [3.4, -2.4] + 0.16 * draw.normal(size=(15, 2))
    return np.concatenate([wide, narrow, arc])


def ring_and_cross() -> list[np.ndarray]:
    """Return two measures of 60 points each, `(60, 2)`."""
    angle, along = np.linspace(0, 2 * np.pi, 60, endpoint=False), np.linspace(-2, 2, 30)
    ring = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    bar = np.stack([along, np.zeros(30)], axis=1)
    return [ring - [1.7, 0], np.concatenate([bar, bar[:, ::-1]]) + [1.7, 0]]


def dots(
    axes: Axes, points: np.ndarray, colours: np.ndarray | str, sizes: np.ndarray | float = 7, **style: Any
) -> None:
    """Draw discs at points `(n, 2)` with areas in square points."""
    axes.scatter(*points.T, s=sizes, color=colours, clip_on=False, **{"linewidths": 0, **style})


def draw_cloud(axes: Axes, weights: str, num_atoms: int = 8) -> None:
    """Draw a barycenter of the plane's cloud and where its plan sends the points."""
    points = plane()
    found = wmdd.barycenter(points, num_atoms, weights=weights, iterations=10, seed=0)
    plan = wmdd.wasserstein2(found.atoms, points, found.weights)
    order = np.argsort(plan.mass, kind="stable")  # a point that is split takes the colour of its largest piece
    owner = np.zeros(len(points), int)
    owner[plan.columns[order]] = plan.rows[order]
    dots(axes, points, COLOURS[owner])
    dots(axes, found.atoms, COLOURS, DISC * found.weights, edgecolors=INK, linewidths=1, alpha=0.85)
    axes.set_title(f"{weights}: W2² = {found.cost:.3f}")


def draw_between(axes: Axes, share: float) -> None:
    """Draw a barycenter of the ring, which counts `share`, and the cross."""
    measures, shares = ring_and_cross(), np.array([share, 1 - share])
    found = wmdd.barycenter(measures, 30, weights="uniform", iterations=50, shares=shares, start=measures[0][::2])
    for points, colour in zip(measures, COLOURS[[7, 1]], strict=True):
        dots(axes, points, colour, 5)
    dots(axes, found.atoms, INK, DISC * found.weights[0])
    axes.set_title(f"shares {share:.2f} and {1 - share:.2f}: W2² = {found.cost:.3f}")


def draw_picture(path: Path) -> None:
    """Write the picture; the same bytes every time."""
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 9, "text.color": INK, "svg.hashsalt": "wmdd"}):
        figure = Figure(figsize=(7.6, 3.9), facecolor="white", layout="constrained")
        panels = figure.subplots(2, 3, height_ratios=(1.35, 1))
        for axes, weights in zip(panels[0], ("uniform", "learned", "exact"), strict=True):
            draw_cloud(axes, weights)
        for axes, share in zip(panels[1], (0.75, 0.5, 0.25), strict=True):
            draw_between(axes, share)
        for axes in panels.flat:
            axes.set_aspect("equal")
            axes.set_axis_off()
        undated = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=200, bbox_inches="tight", pad_inches=0.15, metadata=undated)


def main(picture: Path | None = None) -> dict[str, float]:
    """Print a line for each kind of weights and return their costs; draw the picture if its path is given."""
    points, costs = cloud(), {}
    for weights in ("uniform", "learned", "exact"):
        found = wmdd.barycenter(points, num_atoms=4, weights=weights, iterations=10, seed=0)
        shares = " ".join(f"{share:.2f}" for share in found.weights)
        print(f"{weights:8} cost {found.cost:7.3f} after {len(found.trace):2} iterations, weights {shares}")
        check = wmdd.wasserstein2(found.atoms, points, found.weights).value
        assert abs(check - found.cost) < 1e-6 * found.cost
        costs[weights] = found.cost
    if picture is not None:
        draw_picture(picture)
    return costs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Barycenters without images.")
    parser.add_argument("--picture", type=Path, help="file for the picture, .svg or .png")
    main(parser.parse_args().picture)
