"""Progress bars, where tqdm is there: none of this package's own, and no word where it is not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def shown(items: Iterator[T], progress: bool | str, total: int | None) -> Iterator[T]:
    """The same, counted by a bar that bears the name that ``progress`` is, if it is one. In a notebook it is a notebook's."""
    bar = _bar(progress, total) if progress else None
    return items if bar is None else _Counted(items, bar)


async def awaited(items: AsyncGenerator[T, None], progress: bool | str, total: int | None) -> AsyncGenerator[T, None]:
    """:func:`shown` for asyncio."""
    bar = _bar(progress, total) if progress else None
    try:
        async for item in items:
            if bar is not None:
                bar.update()
            yield item
    finally:
        if bar is not None:
            bar.close()
        await items.aclose()


def _bar(progress: bool | str, total: int | None) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, desc=progress if isinstance(progress, str) else None)


class _Counted(Iterator[T]):
    """No generator: one that was not asked for anything yet does nothing when it is closed."""

    def __init__(self, items: Iterator[T], bar: Any) -> None:
        self._items, self._bar = items, bar

    def __next__(self) -> T:
        try:
            item = next(self._items)
        except BaseException:
            self._bar.close()
            raise
        self._bar.update()
        return item

    def close(self) -> None:
        """Closes what is counted."""
        self._bar.close()
        close = getattr(self._items, "close", None)
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
