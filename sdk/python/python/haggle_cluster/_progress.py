"""Progress bars, where tqdm is there: none of this package's own, and no word where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def shown(items: Iterator[T], progress: bool | str, total: int | None) -> Iterator[T]:
    """The same, counted by a bar that bears the name that ``progress`` is, if it is one. In a notebook it is a notebook's."""
    bar = _bar(progress, total) if progress else None
    if bar is None:
        return items
    return _counted(items, bar)


def _bar(progress: bool | str, total: int | None) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, desc=progress if isinstance(progress, str) else None)


def _counted(items: Iterator[T], bar: Any) -> Iterator[T]:
    try:
        for item in items:
            bar.update()
            yield item
    finally:
        bar.close()
        close = getattr(items, "close", None)
        if close is not None:
            close()


def length(several: Iterable[Iterable[Any]]) -> int | None:
    """How many items a ``zip`` of these has, if that is known before."""
    lengths = []
    for items in several:
        try:
            lengths.append(len(items))  # type: ignore[arg-type]
        except TypeError:
            pass
    return min(lengths, default=None)
