"""How much memory a training run takes, computed from sizes alone: no weights are read and nothing is run.

A step's peak is what always stays (weights, gradients, AdamW's two moments) and what a pass keeps for its backward. The
second follows from the layers' own operations, so each term below is a tensor that autograd keeps. For T tokens of a
pass, hidden size H, I of the MLP, Q and K numbers of all heads' queries and keys, h heads, and c bytes of a computed
number (4, or 2 under bfloat16 autocast), one layer of `packed_stack` keeps

    both norms        input and normalised input, always fp32          T x 4 x 4H
                      one over the root of the mean square             T x 4 x 2
    their outputs     what five projections read                       T x 4 x 2H   (fp32: one for each norm)
                                                                       T x 2 x 5H   (autocast: one for each projection)
    attention         queries and outputs, padded to tiles             asked x c x 2Q
                      keys and values, gathered for each tile          seen x c x 2K
                      log of the sum of exponentials                   asked x 4 x h
                      masks, of tiles that have one                    masked x c
                      what the output projection reads                 T x c x Q
    MLP               gate, its activation, the other factor, product  T x c x 4I

so that a token costs 4(6H + 3Q + 2K + 4I) bytes in fp32 where nothing is padded. Attention keeps no scores: SDPA
computes them again. The last layer asks for the rows' last tokens only: of all T it keeps what its keys and values
come from. Under gradient checkpointing a layer keeps its input, and one layer at a time is computed again. Frozen
layers with adapters keep no normalised input; frozen towers keep nothing. In the backward pass the layer at work holds
gradients besides: of both factors of the MLP's product while those are still there, and of the residual stream.

`python -m perf.dry_run_memory` puts it beside the peaks of real runs. Not modelled: what towers keep while they are
trained, which needs their media; a mixture of experts is taken for an MLP of all experts that a token goes through;
fragments of a GPU's allocator.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Trained = Literal["all", "adapters", "nothing"]
MOMENTS = 8  # bytes of AdamW's two moments for each trained number, fp32
SINGLE = 4  # bytes of a number in fp32
# Of a CUDA process without tensors: its context, loaded kernels, and the libraries' work space.
CUDA_CONSTANT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Weights:
    """Parameters, whatever decides which are trained. Counts of one whole model, not of a device's share.

    Attributes:
        trained: how many numbers have gradients.
        trained_bytes, frozen_bytes: what the two kinds take as they are stored.
        cast: numbers in matrices of the language model that autocast copies for a pass: those not stored in bfloat16.
        largest: numbers of the largest trained matrix inside a layer; its gradient is there twice for a moment.
        unsplit_bytes: of the frozen ones, those that devices do not share where they share the weights.
    """

    trained: int
    trained_bytes: int
    frozen_bytes: int
    cast: int
    largest: int
    unsplit_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Layers:
    """The language model's layers, all alike.

    Attributes:
        number: of layers.
        hidden, intermediate: sizes; of a mixture of experts, the sizes of all experts that a token goes through.
        queries, keys: numbers of a token's queries, and of its keys, over all heads.
        heads: of the queries.
        norms_heads: whether queries and keys are normed before they are turned.
        residual: bytes of a number in the stream between layers: as the embeddings are stored.
    """

    number: int
    hidden: int
    intermediate: int
    queries: int
    keys: int
    heads: int
    norms_heads: bool = False
    residual: int = SINGLE


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward and backward pass holds.

    Attributes:
        tokens: computed, what rows share counted once.
        rows: responses, whose last tokens are read.
        asked, seen: queries and keys of all tiles, padding counted.
        masked: queries times keys of the tiles that have a mask.
        seen_last: keys gathered for the last layer.
    """

    tokens: int
    rows: int
    asked: int
    seen: int
    masked: int
    seen_last: int

    @classmethod
    def of_pair(cls, tokens: int) -> Pass:
        """Two rows of that many tokens each, which share nothing."""
        return cls(tokens=2 * tokens, rows=2, asked=2 * tokens, seen=2 * tokens, masked=0, seen_last=2 * tokens)


@dataclass(frozen=True, slots=True)
class Settings:
    """How it is trained.

    Attributes:
        trained: which of the layers' weights learn.
        autocast: compute in bfloat16.
        checkpointing: compute layers again in the backward pass.
        rank: of the adapters.
        adapter_dropout: whether adapters drop part of what they read, which copies it for each.
        devices: that share gradients and moments, and with `whole` also the weights.
        shared: nothing (`none`, each device has all), gradients and moments (`states`, ZeRO-2), or `whole` (FSDP2).
        cuda: whether a CUDA process's own memory counts.
    """

    trained: Trained = "all"
    autocast: bool = False
    checkpointing: bool = False
    rank: int = 0
    adapter_dropout: bool = False
    devices: int = 1
    shared: Literal["none", "states", "whole"] = "none"
    cuda: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each device at the peak of a step, by what they are."""

    weights: int
    casts: int
    """Copies of the weights in bfloat16, as autocast keeps them until a pass is over."""
    gradients: int
    moments: int
    activations: int
    """Kept for the backward pass."""
    working: int
    """Of the layer that computes: gradients of what it kept, and of its largest matrix."""
    constant: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, field.name) for field in fields(self))


def estimate(weights: Weights, layers: Layers, one: Pass, settings: Settings = Settings()) -> Memory:
    """The peak of a step with more than one pass, from sizes.

    With a single pass a step, gradients come while activations go, so less is needed.
    """
    activations, working = _pass(layers, one, settings)
    whole = settings.devices if settings.shared == "whole" else 1
    states = settings.devices if settings.shared != "none" else 1
    casts = 2 * weights.cast if settings.autocast else 0
    gradients = weights.trained * SINGLE
    split = weights.trained_bytes + weights.frozen_bytes - weights.unsplit_bytes
    if settings.shared == "whole":  # a layer's weights are gathered when it computes, and the next one's beside them
        working += 2 * split // max(1, layers.number)
        casts //= settings.devices
    elif settings.devices > 1 and settings.shared == "none":
        gradients *= 2  # DDP's buckets hold them once more
    return Memory(
        weights=split // whole + weights.unsplit_bytes,
        casts=casts,
        gradients=gradients // states,
        moments=weights.trained * MOMENTS // states,
        activations=activations,
        working=working + weights.largest * SINGLE,
        constant=CUDA_CONSTANT if settings.cuda else 0,
    )


def kept(layers: Layers, one: Pass, settings: Settings) -> int:
    """Bytes that the language model keeps for the backward pass of one pass."""
    return _pass(layers, one, settings)[0]


def layer_keeps(layers: Layers, one: Pass, settings: Settings) -> int:
    """Bytes that one layer, not the last, keeps where it is not checkpointed; see the table above."""
    c = 2 if settings.autocast else SINGLE
    Q, K, T = layers.queries, layers.keys, one.tokens
    norms = T * SINGLE * (2 * _in_norm(settings) * layers.hidden + 2)
    attention = one.asked * (c * 2 * Q + SINGLE * layers.heads) + one.seen * c * 2 * K + one.masked * c
    read = T * (_copies(settings, 5, 2) * layers.hidden + _copies(settings, 1, 1) * (Q + layers.intermediate))
    mlp = T * c * 3 * layers.intermediate
    return norms + attention + read + mlp + _of_heads(layers, T, Q + K, settings) + _adapters(T, settings)


def last_layer_keeps(layers: Layers, one: Pass, settings: Settings) -> int:
    """Bytes of the last layer: what keys and values of all tokens come from, and a few rows."""
    c = 2 if settings.autocast else SINGLE
    T, H = one.tokens, layers.hidden
    norms = T * SINGLE * (_in_norm(settings) * H + 1)
    keys = one.seen_last * c * (2 * layers.keys + 1) + _of_heads(layers, T, layers.keys, settings)
    rows = one.rows * (SINGLE * 6 * H + c * (3 * layers.queries + 4 * layers.intermediate))
    return norms + T * _copies(settings, 2, 1) * H + keys + rows


def _pass(layers: Layers, one: Pass, settings: Settings) -> tuple[int, int]:
    """What is kept, and what the layer at work needs besides."""
    if settings.trained == "nothing":
        return one.rows * SINGLE * layers.hidden, 0
    c = 2 if settings.autocast else SINGLE
    T, H = one.tokens, layers.hidden
    whole, last = layer_keeps(layers, one, settings), last_layer_keeps(layers, one, settings)
    turning = T * 2 * SINGLE * (layers.queries // layers.heads)  # cosines and sines, of all layers
    # Gradients of both factors of the product, of the residual stream and of a norm's output.
    working = T * (2 * c * layers.intermediate + 2 * SINGLE * H)
    if settings.checkpointing:
        return (layers.number - 1) * T * layers.residual * H + last + turning, working + whole
    # What the last layer kept is gone before another layer works.
    return (layers.number - 1) * whole + last + turning, max(working - last, T * 3 * SINGLE * H)


def _in_norm(settings: Settings) -> int:
    """Tensors that a norm keeps: its input, and, for the gradient of its weight, the normalised input."""
    return 2 if settings.trained == "all" else 1


def _copies(settings: Settings, projections: int, norms: int) -> int:
    """Bytes for each number that projections read, behind so many norms."""
    c = 2 if settings.autocast else SINGLE
    if settings.trained == "adapters" and settings.adapter_dropout:
        # Each reads a copy of its own. What was dropped is a byte on a GPU, and an fp32 factor on a CPU.
        return projections * (c + (1 if settings.cuda else SINGLE))
    return c * (projections if settings.autocast else norms)


def _of_heads(layers: Layers, tokens: int, numbers: int, settings: Settings) -> int:
    """Norms of queries and keys keep their input in fp32, and the normalised input as it is computed with."""
    if not layers.norms_heads:
        return 0
    hat = (2 if settings.autocast else SINGLE) if settings.trained == "all" else 0
    return tokens * numbers * (SINGLE + hat)


def _adapters(tokens: int, settings: Settings) -> int:
    """What goes through the narrow middle of seven adapters."""
    c = 2 if settings.autocast else SINGLE
    return tokens * 7 * settings.rank * c if settings.trained == "adapters" else 0
