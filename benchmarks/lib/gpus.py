"""Whisper's sizes and GPUs -> how many GPUs a rate of clips feeds: arithmetic, nothing is measured.

A training step costs three forward passes (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361, section 2.1: 6
operations a weight and position, to which those of attention are added). Peaks are those of NVIDIA's data sheets:
dense, bf16 (the T4 has fp16 only).
"""

from dataclasses import dataclass

N_VOCABULARY = 51_865
POSITIONS_PER_S = 50  # of the encoder
UTILISATION = 0.4  # of the peak: what well-tuned training reaches, hence few GPUs for a worker
PEAK_TFLOPS = {"T4": 65, "L4": 121, "A10": 125, "A100": 312, "H100": 989}


@dataclass(frozen=True)
class Size:
    """Dimensions of a checkpoint: https://arxiv.org/abs/2212.04356, table 1."""

    d_model: int
    layers: int  # of the encoder, and of the decoder


SIZES = {"tiny": Size(384, 4), "base": Size(512, 6), "small": Size(768, 12), "medium": Size(1024, 24)}
SIZES["large"] = Size(1280, 32)


def operations_a_clip(size: Size, window_s: float, n_labels: float) -> float:
    """Floating point operations of training on one clip."""
    n_positions = window_s * POSITIONS_PER_S
    layer = size.d_model**2 * size.layers
    # 12 of a layer of the encoder; 2 for the decoder's keys and values of what was heard, 14 for the rest of it.
    weights_heard, weights_written = 14 * layer, 14 * layer + N_VOCABULARY * size.d_model
    attention = 4 * n_positions**2 * size.d_model * size.layers
    forward = 2 * (weights_heard * n_positions + weights_written * n_labels) + attention
    return 3 * forward


def gpus_fed(clips_per_s: float, gpu: str, size: Size, window_s: float, n_labels: float) -> float:
    """How many of a GPU take together `clips_per_s`."""
    return clips_per_s * operations_a_clip(size, window_s, n_labels) / (UTILISATION * PEAK_TFLOPS[gpu] * 1e12)
