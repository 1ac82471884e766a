"""A sum tree: weights of which one can be drawn in proportion, and changed, in logarithmic time; and their largest."""

import numpy as np
from jaxtyping import Float32, Float64, Int64

BRANCHES = 32
"""Children of a node: four levels hold a million leaves, and NumPy takes a level of a minibatch in one call."""


class SumTree:
    """R non-negative weights, all 0 at first, beneath sums and maxima of each ``BRANCHES`` of them, and of those, up
    to one.

    A sum is always computed anew from all of its children: it depends on the weights alone, and not on how they
    came about, and rounding errors do not pile up.

    Args:
        num_leaves: R.
    """

    def __init__(self, num_leaves: int) -> None:
        self._levels = [np.zeros((_count_nodes(num_leaves), BRANCHES), np.float32)]
        while len(self._levels[-1]) > 1:
            self._levels.append(np.zeros((_count_nodes(len(self._levels[-1])), BRANCHES), np.float64))
        self._maxima = [self._levels[0], *(np.zeros(level.shape, np.float32) for level in self._levels[1:])]
        self.leaves: Float32[np.ndarray, "R"] = self._levels[0].reshape(-1)[:num_leaves]

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self._levels[-1].sum(dtype=np.float64))

    @property
    def largest(self) -> float:
        """The largest of all weights."""
        return float(self._maxima[-1].max())

    def set(self, leaves: Int64[np.ndarray, "K"], weights: Float32[np.ndarray, "K"] | float) -> None:
        """Give these leaves these weights; of a leaf that is named twice, the later one counts."""
        self.leaves[leaves] = weights
        nodes = leaves
        for level in range(1, len(self._levels)):
            nodes = nodes // BRANCHES
            self._levels[level].reshape(-1)[nodes] = self._levels[level - 1][nodes].sum(axis=1, dtype=np.float64)
            self._maxima[level].reshape(-1)[nodes] = self._maxima[level - 1][nodes].max(axis=1)

    def set_all(self, weights: Float32[np.ndarray, "R"]) -> None:
        """Give every leaf its weight."""
        self.leaves[:] = weights
        for level in range(1, len(self._levels)):
            children, maxima = self._levels[level - 1], self._maxima[level - 1]
            self._levels[level].reshape(-1)[: len(children)] = children.sum(axis=1, dtype=np.float64)
            self._maxima[level].reshape(-1)[: len(children)] = maxima.max(axis=1)

    def find(self, shares: Float64[np.ndarray, "K"]) -> Int64[np.ndarray, "K"]:
        """The leaves where the running sum of weights passes these shares, in [0, 1), of their total.

        A leaf of weight 0 is never found, whatever is rounded. Some weight must not be 0.
        """
        nodes = np.zeros(len(shares), np.int64)
        for level in reversed(self._levels):
            sums = level[nodes].cumsum(axis=1, dtype=np.float64)
            place = np.minimum(shares, _LARGEST_SHARE) * sums[:, -1]
            branch = (sums <= place[:, None]).sum(axis=1)
            every = np.arange(len(shares))
            below = np.where(branch > 0, sums[every, branch - 1], 0.0)
            shares = (place - below) / (sums[every, branch] - below)
            nodes = nodes * BRANCHES + branch
        return nodes


_LARGEST_SHARE = np.nextafter(1.0, 0.0)


def _count_nodes(num_children: int) -> int:
    return max(-(-num_children // BRANCHES), 1)
