"""Where the rows of a large result are put as they are made; a stored run keeps them in a file, not in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from wmdd.context import Context
from wmdd.mapped import give_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Named tensors of `count` rows, of which the first rows that are put in give types and shapes."""

    count: int
    ctx: Context
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def put(self, start: int, rows: Mapping[str, Tensor]) -> None:
        """Put in rows `(n, ...)` of every name, from row `start` on; from a GPU, too."""
        for name, values in rows.items():
            if name not in self.tensors:
                self.tensors[name] = self.ctx.scratch((self.count, *values.shape[1:]), values.dtype)
            self.tensors[name][start : start + len(values)] = values
            give_back(self.tensors[name])
