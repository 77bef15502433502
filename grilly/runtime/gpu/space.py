"""Which bytes of a block are taken: plain arithmetic, no memory is touched."""

from bisect import bisect_left, insort


class Space:
    """The free ranges of `size` bytes. The smallest range that fits is given out, the lowest of equals.

    So the same requests at the same state give the same places, and a loop comes back to its old addresses.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._by_size: list[tuple[int, int]] = [(size, 0)]  # (length, start) of each free range, in order
        self._ends = {0: size}  # start -> end of each free range
        self._starts = {size: 0}  # end -> start

    def take(self, length: int) -> int | None:
        """The start of `length` bytes that are now taken; None where no range is long enough."""
        k = bisect_left(self._by_size, (length, 0))
        if k == len(self._by_size):
            return None
        _, start = self._by_size[k]
        end = self._remove(start)
        if start + length < end:
            self._add(start + length, end)
        return start

    def give(self, start: int, length: int) -> None:
        """Frees what `take` gave, and joins it with its free neighbours."""
        end = start + length
        if start in self._starts:
            before = self._starts[start]
            self._remove(before)
            start = before
        if end in self._ends:
            end = self._remove(end)
        self._add(start, end)

    @property
    def empty(self) -> bool:
        """Whether nothing is taken."""
        return self._ends.get(0) == self.size

    @property
    def largest(self) -> int:
        """Bytes that can be taken at once."""
        return self._by_size[-1][0] if self._by_size else 0

    @property
    def free(self) -> int:
        """Bytes not taken."""
        return sum(length for length, _ in self._by_size)

    def _add(self, start: int, end: int) -> None:
        insort(self._by_size, (end - start, start))
        self._ends[start], self._starts[end] = end, start

    def _remove(self, start: int) -> int:
        end = self._ends.pop(start)
        del self._starts[end]
        del self._by_size[bisect_left(self._by_size, (end - start, start))]
        return end
