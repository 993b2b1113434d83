"""The same rows give the same shards, byte for byte, wherever and however preprocess runs."""

import os
import platform
import random
import shutil
import subprocess
import sys

import pytest
from numpy._core import _multiarray_umath as numpy_core

from asr.shards import read_index
from tests.running import Project, corpus

# Kernels of OpenBLAS for other processors, and numpy's own for none of the vector units that it can go without.
BLAS_KERNELS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX", "Zen")
NO_VECTORS = " ".join(name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name])
OLD_MACHINE = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": NO_VECTORS, "OMP_NUM_THREADS": "2"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory, real_clips):
    """(folder, rows)"""
    folder = tmp_path_factory.mktemp("same-bytes") / "clips"
    return folder, corpus(folder, real_clips)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, scratch, clips):
    """The shards of a run in one process."""
    project = Project.make(tmp_path_factory.mktemp("same-bytes") / "project", scratch, *clips)
    hashes = project.run(BEAM_WORKERS="1", OMP_NUM_THREADS="1", PYTHONHASHSEED="1")
    assert len(hashes) > 8
    assert read_index(project.features).rejected == 3
    return hashes


def test_two_processes_and_another_hash_seed(expected, tmp_path, scratch, clips):
    project = Project.make(tmp_path / "project", scratch, *clips)
    assert project.run(BEAM_WORKERS="2", PYTHONHASHSEED="2") == expected


def test_another_folder_and_another_order_of_the_manifest(expected, tmp_path, scratch, clips):
    folder, rows = clips
    elsewhere = tmp_path / "an other place 🎙" / "clips"
    shutil.copytree(folder, elsewhere)
    shuffled = random.Random(1).sample(rows, len(rows))
    project = Project.make(tmp_path / "deeper/still/project", scratch, elsewhere, shuffled)
    assert project.run(BEAM_WORKERS="1") == expected


def test_a_processor_without_vector_units(expected, tmp_path, scratch, clips):
    project = Project.make(tmp_path / "project", scratch, *clips)
    assert project.run(BEAM_WORKERS="1", **OLD_MACHINE) == expected


@pytest.mark.skipif(platform.machine() != "x86_64", reason="THE OLD PROCESSOR IS AN x86, so it is not played here")
@pytest.mark.parametrize("name", ["OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"])
def test_the_old_processor_does_compute_in_another_way(name):
    def last_bits(environment):
        code = (
            "import hashlib, numpy as np; x = np.random.default_rng(1).random((300, 201));"
            # By AVX-512 log10 has other last bits, by AVX2 tanh.
            "made = ((x @ x.T), np.log10(x), np.tanh(x));"
            "print(hashlib.sha256(b''.join(each.tobytes() for each in made)).hexdigest())"
        )
        return subprocess.check_output([sys.executable, "-c", code], env=os.environ | environment)

    assert last_bits({}) == last_bits({})
    assert last_bits({name: OLD_MACHINE[name]}) != last_bits({})


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {},
        *({"OPENBLAS_CORETYPE": kernel} for kernel in BLAS_KERNELS),
        {"NPY_DISABLE_CPU_FEATURES": NO_VECTORS},
        {"OMP_NUM_THREADS": "2"},
        {"PYTHONHASHSEED": "3"},
    ],
    ids=str,
)
def test_each_setting_of_the_machine_by_itself(expected, tmp_path, scratch, clips, environment):
    project = Project.make(tmp_path / "project", scratch, *clips)
    assert project.run(**{"BEAM_WORKERS": "1", "OMP_NUM_THREADS": "1"} | environment) == expected


@pytest.mark.slow
def test_the_smaller_codec_on_a_processor_without_vector_units(tmp_path, scratch, clips):
    here = Project.make(tmp_path / "here", scratch, *clips, codec="uint8").run(BEAM_WORKERS="1")
    assert Project.make(tmp_path / "there", scratch, *clips, codec="uint8").run(**OLD_MACHINE) == here
