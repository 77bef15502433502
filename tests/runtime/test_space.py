"""Free ranges: nothing overlaps, nothing is lost."""

import hypothesis.strategies as st
from hypothesis import given

from grilly.runtime.gpu.space import Space

SIZE = 1000
steps = st.lists(st.one_of(st.integers(1, 300), st.floats(0, 1, exclude_max=True)), max_size=60)


@given(steps)
def test_taken_ranges_never_overlap_and_all_come_back(steps):
    space, taken = Space(SIZE), []
    for step in steps:
        if isinstance(step, int):
            start = space.take(step)
            if start is not None:
                taken.append((start, step))
        elif taken:
            space.give(*taken.pop(int(step * len(taken))))
        bytes_taken = [k for start, length in taken for k in range(start, start + length)]
        assert len(bytes_taken) == len(set(bytes_taken))
        assert all(0 <= k < SIZE for k in bytes_taken)
        assert space.free == SIZE - len(bytes_taken)
    for start, length in taken:
        space.give(start, length)
    assert space.empty
    assert space.take(SIZE) == 0


def test_the_smallest_range_that_fits_is_given_the_lowest_of_equals():
    space = Space(100)
    assert [space.take(n) for n in (20, 5, 10, 5, 10, 50)] == [0, 20, 25, 35, 40, 50]
    for start, length in ((40, 10), (25, 10), (0, 20)):
        space.give(start, length)

    assert [space.take(10), space.take(10), space.take(10), space.take(10), space.take(1)] == [
        25,
        40,
        0,
        10,
        None,
    ]
