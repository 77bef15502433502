"""The cache on disk: whatever happens to its files, a call is right; at worst it compiles again."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import grilly
from grilly.runtime import plans
from grilly.runtime.cache import SUFFIX, Cache
from grilly.runtime.ir import Aval
from grilly.runtime.packing import packed, unpacked
from grilly.runtime.plans import plan_of
from grilly.runtime.target import Target

DATA = bytes(range(256)) * 4


@pytest.fixture
def kept(tmp_path):
    """A cache that holds DATA as `one`, and the path of that file."""
    cache = Cache(tmp_path)
    cache.put("one", DATA)
    (path,) = tmp_path.iterdir()
    return cache, path


def test_what_is_put_is_found_by_its_name_alone(kept):
    cache, path = kept
    assert cache.get("one") == Cache(path.parent).get("one") == DATA
    assert cache.get("two") is None
    path.rename(path.with_name("two" + SUFFIX))
    assert cache.get("two") is None  # it was written under another name


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 500, len(DATA) + 31])
def test_a_truncated_file_is_a_miss_and_is_written_anew(kept, length):
    cache, path = kept
    os.truncate(path, length)

    assert cache.get("one") is None
    cache.put("one", DATA)
    assert cache.get("one") == DATA


def test_a_flipped_bit_is_a_miss_wherever_it_is(kept):
    cache, path = kept
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert cache.get("one") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"not ours", np.random.default_rng(0).bytes(4096), DATA],
    ids=["empty", "foreign", "random", "without a head"],
)
def test_a_foreign_file_is_a_miss(kept, content):
    cache, path = kept
    path.write_bytes(content)
    assert cache.get("one") is None


def test_a_directory_where_a_file_should_be_is_a_miss(kept, caplog):
    cache, path = kept
    path.unlink()
    path.mkdir()
    with caplog.at_level("INFO", "grilly"):
        cache.put("one", DATA)

    assert cache.get("one") is None
    assert os.listdir(path.parent) == [path.name]  # and nothing is left beside it
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"nothing is kept in {path.parent}: [Errno {errno.EISDIR}]")


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path, caplog):
    """A file in place of the folder refuses the superuser, too."""
    (tmp_path / "taken").write_text("mine")
    cache = Cache(tmp_path / "taken")
    with caplog.at_level("INFO", "grilly"):
        cache.put("one", DATA)

    assert cache.get("one") is None
    assert (tmp_path / "taken").read_text() == "mine"
    assert caplog.records


def test_a_folder_of_somebody_elses_is_read(kept, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "utime", refuse)
    assert kept[0].get("one") == DATA


def test_a_write_that_ends_halfway_leaves_nothing(tmp_path):
    """As where the disk is full: the system refuses all but the first bytes."""
    cache, limits = Cache(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        cache.put("one", DATA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert cache.get("one") is None
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_what_was_there(kept, monkeypatch):
    cache, path = kept

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        cache.put("one", b"new")
        cache.put("two", b"new")

    assert cache.get("one") == DATA
    assert os.listdir(path.parent) == [path.name]


def test_what_was_not_used_for_the_longest_time_makes_room(tmp_path):
    size = len(DATA) + 32
    cache = Cache(tmp_path, limit=9 * size)
    (tmp_path / "somebody's.txt").write_bytes(DATA * 20)
    for age, name in enumerate("abcdefghi"):
        cache.put(name, DATA)
        os.utime(tmp_path / (name + SUFFIX), (1000 + age, 1000 + age))
    assert cache.get("a") == DATA  # now it was used last

    cache.put("j", DATA)

    left = sorted(path.stem for path in tmp_path.glob("*" + SUFFIX))
    assert left == [*"acdefghij"]
    assert (tmp_path / "somebody's.txt").exists()


def test_what_would_displace_all_others_is_not_kept(tmp_path):
    cache = Cache(tmp_path, limit=8 * len(DATA) - 8)
    cache.put("one", DATA)
    assert os.listdir(tmp_path) == []


def test_without_a_folder_nothing_is_kept():
    cache = Cache(None)
    cache.put("one", DATA)
    assert cache.get("one") is None


TWO_AT_ONCE = """
import sys
from pathlib import Path
from grilly.runtime.cache import Cache
cache, mine = Cache(Path(sys.argv[1]), limit=400_000), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
wrong = 0
for k in range(400):
    name = str(k % 20)
    cache.put(name, bytes([k % 20]) * (1000 * mine + k % 7))
    found = cache.get(str(k * 7 % 20))
    wrong += found is not None and set(found) != {k * 7 % 20}
print(wrong)
"""


def test_two_processes_write_and_clear_the_same_folder_at_once(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_AT_ONCE, str(tmp_path), str(k)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for k in (1, 8)
    ]  # fmt: skip
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in both]

    assert ends == [("0\n", "")] * 2
    assert all(path.name.endswith(SUFFIX) and not path.name.startswith(".") for path in tmp_path.iterdir())


# Plans ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Compiled functions are kept here meanwhile."""
    monkeypatch.setattr(plans.cache, "folder", tmp_path)
    return tmp_path


AVALS = [Aval((3, 4), np.dtype(np.float32))]


def compiled(function=lambda x: [x * 2 + 1], avals=AVALS, donated=frozenset(), target=Target()):
    return plan_of(function, avals, donated, target)


def forbid_compiling(monkeypatch):
    def compiling(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(plans, "lower_graph", compiling)


def test_a_plan_is_found_again(folder, monkeypatch):
    first = compiled()
    forbid_compiling(monkeypatch)
    assert packed(compiled()) == packed(first)


TABLE = np.arange(4, dtype=np.float32)
DIFFERENT = {
    "literal": lambda: compiled(lambda x: [x * 3 + 1]),
    "the sign of a zero": lambda: compiled(lambda x: [x * 2 + -0.0]),
    "shape": lambda: compiled(avals=[Aval((4, 3), np.dtype(np.float32))]),
    "dtype": lambda: compiled(avals=[Aval((3, 4), np.dtype(np.int32))]),
    "donated": lambda: compiled(donated=frozenset({0})),
    "target": lambda: compiled(target=Target(max_groups_x=7)),
    "constant": lambda: compiled(lambda x: [x * 2 + TABLE]),
    "another constant": lambda: compiled(lambda x: [x * 2 + (TABLE + 1)]),
    "constant of 16 bits": lambda: compiled(lambda x: [x * 2 + TABLE.astype(jax.numpy.bfloat16)]),
    "parameter": lambda: compiled(lambda x: [x[::2]]),
    "another parameter": lambda: compiled(lambda x: [x[1:]]),
    "result": lambda: compiled(lambda x: [x * 2 + 1, x * 2]),
    "order of results": lambda: compiled(lambda x: [x * 2, x * 2 + 1]),
}


def test_programs_that_differ_in_anything_do_not_share_a_plan(folder, monkeypatch):
    monkeypatch.setattr("grilly.runtime.fingerprint.locate", lambda source: "")  # as if all stood on one line
    compiled()
    for known, other in enumerate(DIFFERENT.values(), 1):
        assert len(os.listdir(folder)) == known
        other()
    assert len(os.listdir(folder)) == 1 + len(DIFFERENT)


def test_a_function_that_moved_is_compiled_again(folder):
    """Its plan names its lines."""
    compiled(lambda x: [x * 2 + 1])
    compiled(lambda x: [x * 2 + 1])
    assert len(os.listdir(folder)) == 2


def test_another_compiler_has_plans_of_its_own(folder, monkeypatch):
    compiled()
    monkeypatch.setattr("grilly.runtime.fingerprint.COMPILER", b"the next version")
    compiled()
    assert len(os.listdir(folder)) == 2


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\0" * 64, b"{}", b"\2" + b"\0" * 7 + b"[]"])
def test_bytes_that_are_no_plan_are_a_miss(content, folder):
    """Even under the right name, with the right checksum."""
    plan = compiled()
    (path,) = folder.iterdir()
    plans.cache.put(path.stem, content)

    assert unpacked(content) is None
    assert packed(compiled()) == packed(plan)


def test_a_plan_cut_off_anywhere_is_a_miss():
    whole = packed(compiled())
    assert all(unpacked(whole[:length]) is None for length in range(0, len(whole), 7))
    assert unpacked(whole + b"\0") is None


def test_functions_give_the_same_from_a_full_cache(folder, device, monkeypatch):
    def step(params, x):
        return {"w": params["w"] * 0.5 + TABLE, "sum": (x @ params["w"]).sum()}, x > 0

    params, x = {"w": np.ones(4, np.float32)}, np.arange(-6, 6, dtype=np.float32).reshape(3, 4)
    first = grilly.jit(step, device=device, donate_argnums=0)(params, x)
    forbid_compiling(monkeypatch)
    again = grilly.jit(step, device=device, donate_argnums=0)(params, x)

    assert again[0].keys() == first[0].keys()
    for ours, theirs in [(again[0]["w"], first[0]["w"]), (again[0]["sum"], first[0]["sum"]), (again[1], first[1])]:
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(again[0]["w"], 0.5 + TABLE)


def test_a_broken_cache_changes_no_result(folder, device):
    def run():
        return np.asarray(grilly.jit(lambda x: x * 2 + 1, device=device)(TABLE))

    run()
    for path in folder.iterdir():
        os.truncate(path, 40)
    np.testing.assert_array_equal(run(), TABLE * 2 + 1)
