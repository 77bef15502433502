"""Data sets: what is bundled, what is read from files, what a broken file says. No network but our own."""

import gzip
import hashlib
import http.server
import re
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from grilly import datasets
from grilly.datasets import mnist
from grilly.errors import DataError, ParameterError

FILES = tuple(mnist.SOURCES["mnist"].sha256)


def idx_bytes(array):
    """The format's definition: 0 0 8 axes, extents as big-endian words, bytes in C order."""
    extents = b"".join(extent.to_bytes(4, "big") for extent in array.shape)
    return bytes([0, 0, 8, array.ndim]) + extents + array.astype(np.uint8).tobytes()


@pytest.fixture
def directory(tmp_path):
    """A tiny MNIST: 24 training and 12 test images."""
    rng = np.random.default_rng(1)
    for part, count in ("train", 24), ("t10k", 12):
        images, labels = rng.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    return tmp_path


def test_digits_are_the_uci_test_set_in_three_parts():
    dataset = datasets.load("digits")
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [1257, 180, 360]
    assert dataset.image_shape == (1, 8, 8)
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    # The counts of the ten classes in optdigits.names, "testing".
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images.min() == 0
    assert images.max() == 16
    assert len(np.unique(images.reshape(1797, -1), axis=0)) == 1797  # so that no image is in two parts


def test_x_is_float32_between_0_and_1():
    x = datasets.load("digits").validation.x
    assert x.dtype == np.float32
    assert x.shape == (180, 1, 8, 8)
    assert (x.min(), x.max()) == (0, 1)


def test_the_split_is_the_same_each_time():
    first, second = datasets.load("digits"), datasets.load("digits")
    np.testing.assert_array_equal(first.test.images, second.test.images)


def test_idx_files_are_read_from_the_directory_given(directory):
    dataset = datasets.load("mnist", directory)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (22, 2, 12)
    with gzip.open(directory / "t10k-images-idx3-ubyte.gz") as file:
        want = np.frombuffer(file.read()[16:], np.uint8).reshape(12, 1, 28, 28) / np.float32(255)
    np.testing.assert_array_equal(dataset.test.x, want)
    np.testing.assert_array_equal(dataset.test.labels, np.arange(12) % 10)


def test_idx_files_may_be_unzipped(directory):
    zipped = datasets.load("mnist", directory)
    for name in FILES:
        (directory / name.removesuffix(".gz")).write_bytes(gzip.decompress((directory / name).read_bytes()))
        (directory / name).unlink()
    plain = datasets.load("mnist", directory)
    np.testing.assert_array_equal(plain.train.images, zipped.train.images)
    np.testing.assert_array_equal(plain.test.labels, zipped.test.labels)


def test_fashion_mnist_is_found_where_debian_puts_it():
    assert mnist.SOURCES["fashion-mnist"].system.is_dir(), "./setup.sh test installs Debian's dataset-fashion-mnist"
    dataset = datasets.load("fashion-mnist")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (55000, 5000, 10000)
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10


def test_unknown_name():
    with pytest.raises(ParameterError) as error:
        datasets.load("cifar")
    assert str(error.value) == "no data set 'cifar': expected one of digits, mnist, fashion-mnist."


def test_a_directory_for_the_bundled_digits(tmp_path):
    with pytest.raises(ParameterError) as error:
        datasets.load("digits", tmp_path)
    assert str(error.value) == f"the digits come with grilly, --data {tmp_path} has no use: leave it out."


def test_absent_files_are_named(directory):
    (directory / FILES[2]).unlink()
    with pytest.raises(DataError) as error:
        datasets.load("mnist", directory)
    assert str(error.value) == (
        f"{directory} lacks t10k-images-idx3-ubyte.gz of the data set 'mnist'. Give the directory that holds "
        f"{', '.join(FILES)}, gzipped or not, as --data, or leave --data out: grilly then finds or downloads them."
    )


BROKEN = {
    "truncated gzip": (
        lambda raw: gzip.compress(raw)[:-100],
        "Compressed file ended before the end-of-stream marker was reached",
    ),
    "a web page": (
        lambda raw: b"<html>404</html>",
        "it starts with 3c 68 74 6d, expected 00 00 08 and the number of axes",
    ),
    "of floats": (
        lambda raw: gzip.compress(b"\0\0\x0d" + raw[3:]),
        "it starts with 00 00 0d 03, expected 00 00 08 and the number of axes",
    ),
    "not IDX": (
        lambda raw: gzip.compress(b"PNG?" + raw),
        "it starts with 50 4e 47 3f, expected 00 00 08 and the number of axes",
    ),
    "too short": (
        lambda raw: gzip.compress(raw[:-1]),
        "it holds 9407 values, and its header announces the shape (12, 28, 28)",
    ),
    "empty": (lambda raw: gzip.compress(b""), "it starts with , expected 00 00 08 and the number of axes"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_named_with_what_is_wrong(directory, kind):
    damage, why = BROKEN[kind]
    path = directory / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(gzip.decompress(path.read_bytes())))
    with pytest.raises(DataError) as error:
        datasets.load("mnist", directory)
    assert str(error.value) == (
        f"cannot read {path}: {why}. Expected an IDX file of unsigned bytes, gzipped or not; "
        "get the file again from where it came."
    )


def test_images_of_another_size(directory):
    path = directory / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((24, 32, 32)))))
    with pytest.raises(DataError) as error:
        datasets.load("mnist", directory)
    assert str(error.value) == (
        f"{path} holds an array of shape (24, 32, 32), expected (count, 28, 28) with at least 12 images. "
        "Give another directory as --data."
    )


@pytest.mark.parametrize("labels", [np.arange(20) % 10, np.arange(24)])
def test_labels_that_do_not_fit(directory, labels):
    path = directory / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(labels)))
    with pytest.raises(DataError) as error:
        datasets.load("mnist", directory)
    assert str(error.value) == (
        f"{path} holds labels of shape {labels.shape} up to {labels.max()}, expected (24,) labels "
        "from 0 to 9, one for each image. Give another directory as --data."
    )


@pytest.fixture
def server(directory, tmp_path_factory, monkeypatch):
    """MNIST's server, on this machine, and an empty cache."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=directory)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        cache = tmp_path_factory.mktemp("cache")
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        sha256 = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in FILES}
        url = f"http://127.0.0.1:{server.server_port}/"
        source = replace(mnist.SOURCES["mnist"], url=url, sha256=sha256)
        monkeypatch.setitem(mnist.SOURCES, "mnist", source)
        yield cache
        server.shutdown()
        thread.join()


def test_files_are_downloaded_once_and_kept(server, directory):
    first = datasets.load("mnist")
    assert sorted(path.name for path in (server / "grilly" / "mnist").iterdir()) == sorted(FILES)
    (directory / FILES[0]).unlink()
    np.testing.assert_array_equal(datasets.load("mnist").train.images, first.train.images)


def test_a_download_with_another_checksum_is_refused(server, directory):
    (directory / FILES[1]).write_bytes(b"tampered")
    with pytest.raises(DataError, match=re.escape(f"{FILES[1]} to {server}/grilly/mnist: SHA256 hash")) as error:
        datasets.load("mnist")
    assert str(error.value).endswith(
        f"Get the files {', '.join(FILES)} by other means and give their directory as --data."
    )
    assert not (server / "grilly" / "mnist" / FILES[1]).exists()


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = replace(mnist.SOURCES["mnist"], url="http://127.0.0.1:9/")  # the discard port: nobody listens
    monkeypatch.setitem(mnist.SOURCES, "mnist", source)
    with pytest.raises(DataError, match=re.escape(f"cannot download http://127.0.0.1:9/{FILES[0]} to {tmp_path}")):
        datasets.load("mnist")
