"""Names the tensors of several heads in one artifact, each head's as NUMBER.NAME, and sorts them out again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from models.heads.base import Head


def numbered(heads: Iterable[Head]) -> dict[str, Tensor]:
    """The tensors of all heads."""
    return {f"{number}.{name}": tensor for number, head in enumerate(heads) for name, tensor in head.tensors().items()}


def by_number(tensors: Mapping[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    """Those of each of `count` heads. Raises ValueError for a tensor that is of none of them."""
    found: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for name, tensor in tensors.items():
        number, dot, own = name.partition(".")
        if not dot or not number.isdecimal() or int(number) >= count:
            raise ValueError(
                f"the tensors of {count} heads are expected, as NUMBER.NAME, and nothing else; there is {name}"
            )
        found[int(number)][own] = tensor
    return found
