"""Which tasks share a kernel, and how they are spread over its workgroups."""

import numpy as np
import pytest

from grilly.runtime.ir import Aval
from grilly.runtime.lower import lower
from grilly.runtime.target import Target

FLOATS = np.dtype(np.float32)


@pytest.mark.parametrize(("software", "groups"), [(True, 1), (False, 10 + 8)], ids=["cpu", "gpu"])
def test_small_tasks_that_would_keep_a_workgroup_busy_run_side_by_side_on_a_gpu(software, groups):
    avals = [Aval((10, 256), FLOATS), Aval((2, 256), FLOATS)]
    plan = lower(lambda x, y: [x + 1, y.sum(0)], avals, target=Target(software=software)).plan
    assert [dispatch.groups for dispatch in plan.dispatches] == [(groups, 1, 1)]


def test_small_tasks_that_need_each_other_take_one_workgroup():
    def softmax(x):
        e = np.e ** (x - x.max(1)[:, None])
        return [e / e.sum(1)[:, None]]

    plan = lower(softmax, [Aval((32, 10), FLOATS)], target=Target(software=False)).plan
    assert [dispatch.groups for dispatch in plan.dispatches] == [(1, 1, 1)]
