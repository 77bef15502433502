"""Devices that code is compiled for and nothing runs on."""

from dataclasses import replace

from grilly.runtime.target import Target

GPU = Target(subgroup_size=32, shared_bytes=49152, software=False)
MATRIX_GPU = replace(GPU, matrix=(16, 16, 16))
