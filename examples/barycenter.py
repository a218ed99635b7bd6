"""The barycenter alone: summarise a cloud of points by a few weighted atoms; no images, no network.

    python examples/barycenter.py

Three unequal clusters, four atoms. Prints for each kind of weights the cost (squared Wasserstein distance), how many
iterations it took and the weights that came out, then checks the cost against an independent transport problem.
"""

import numpy as np

import wmdd


def cloud(seed: int = 0) -> np.ndarray:
    """Return 300 points in 8 dimensions, `(300, 8)`: clusters of 200, 70 and 30."""
    draw = np.random.default_rng(seed)
    return np.concatenate([4 * draw.normal(size=8) + draw.normal(size=(count, 8)) for count in (200, 70, 30)])


def main() -> dict[str, float]:
    """Print a line for each kind of weights; return their costs."""
    points, costs = cloud(), {}
    for weights in ("uniform", "learned", "exact"):
        found = wmdd.barycenter(points, num_atoms=4, weights=weights, iterations=10, seed=0)
        shares = " ".join(f"{share:.2f}" for share in found.weights)
        print(f"{weights:8} cost {found.cost:7.3f} after {len(found.trace):2} iterations, weights {shares}")
        check = wmdd.wasserstein2(found.atoms, points, found.weights).value
        assert abs(check - found.cost) < 1e-6 * found.cost
        costs[weights] = found.cost
    return costs


if __name__ == "__main__":
    main()
