"""The machine, and the name of a precision in params.yaml -> the device and the dtype that the model computes in."""

import ctypes

import torch

# mallopt(3): the parameters of glibc's malloc
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def best_device() -> torch.device:
    """The first CUDA device where there is one, the processor otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(name: str) -> torch.dtype:
    """`auto`, `bf16` or `float32` as the dtype of autocast; the weights stay float32 in every case.

    `auto` is bf16 where the hardware multiplies it (CUDA from compute capability 8.0 on; processors with avx512_bf16
    or amx): elsewhere it is emulated, and slower than float32.
    """
    if name == "float32":
        return torch.float32
    if name == "bf16":
        return torch.bfloat16
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    multiplies = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if multiplies else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """The context in which the model computes in `dtype`; nothing changes for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def keep_freed_memory() -> None:
    """From now on this process keeps what it frees, for what it allocates next, where the C library is glibc.

    It maps each large tensor anew otherwise, and the system fills every page of it with zeros: on a processor that is
    5 to 15 % of a step of training.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def add_in_order() -> None:
    """Makes torch add up gradients in one order, whichever thread comes first; on a processor that costs nothing.

    Otherwise the gradient of looked-up positions (32,768 numbers and more, by several threads) has other bits in each
    run, and a training soon has other weights.
    """
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
