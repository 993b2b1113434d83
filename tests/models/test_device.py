import subprocess
import sys

import pytest
import torch

from asr.models.device import add_in_order, autocast, resolve_precision

PAGE_FAULTS = """
from resource import RUSAGE_SELF, getrusage
import torch
from asr.models.device import keep_freed_memory

def faults_of_20_tensors():
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**24)  # 64 MB
    return getrusage(RUSAGE_SELF).ru_minflt - before

plain = faults_of_20_tensors()
keep_freed_memory()
faults_of_20_tensors()  # the first ones find no room that fits
print(plain, faults_of_20_tensors())
"""


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_named_precision_is_taken_at_its_word(name, dtype):
    assert resolve_precision(name) == dtype


@pytest.mark.parametrize("multiplies", [True, False])
def test_auto_is_bf16_where_the_processor_multiplies_it(monkeypatch, multiplies):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: multiplies)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert resolve_precision("auto") == (torch.bfloat16 if multiplies else torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_autocast_products_have_that_precision_and_weights_keep_theirs(dtype):
    layer = torch.nn.Linear(4, 4)
    with autocast(torch.device("cpu"), dtype):
        assert layer(torch.ones(1, 4)).dtype == dtype
    assert layer.weight.dtype == torch.float32


def test_memory_that_was_freed_is_taken_again_without_asking_the_system():
    said = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True).stdout
    plain, kept = map(int, said.split())
    assert kept < plain / 10


@pytest.fixture
def in_order():
    """Two threads, as a training has and the other tests have not."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    add_in_order()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(n_threads)


def test_positions_that_all_clips_look_up_get_the_same_gradient_in_each_run(in_order):
    table = torch.zeros(448, 512, requires_grad=True)
    positions = torch.arange(64).repeat(16, 1)  # half a million numbers, for several threads
    upstream = torch.randn(16, 64, 512, generator=torch.Generator().manual_seed(0))

    def gradient():
        return torch.autograd.grad(table[positions], table, upstream)[0]

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(20))
    torch.testing.assert_close(first[:64], upstream.sum(dim=0), rtol=1e-5, atol=1e-5)
