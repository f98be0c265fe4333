"""The tiny llama and its LoRA adapters, in the arithmetic and row order of llama.cpp.

The rotary embedding turns adjacent pairs of rows, as GGUF's `llama` architecture does, so weights
go to GGUF unchanged. Hugging Face pairs the first half of a head with the second half: `export.py`
reorders the query and key rows for that layout.

The order in which parameters are created is part of the recipe: one seeded generator fills them
one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROJECTIONS = ("q", "k", "v", "o", "gate", "up", "down")
"""The linear layers of a block; an adapter has a pair of matrices for each of them."""


@dataclass(frozen=True)
class ModelConfig:
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    ffn_width: int = 320
    vocabulary_size: int = 1024
    context_size: int = 512
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5
    seed: int = 0

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def projection_shape(self, projection: str) -> tuple[int, int]:
        """(outputs, inputs)"""
        kv_width = self.kv_heads * self.head_width
        return {
            "q": (self.width, self.width),
            "k": (kv_width, self.width),
            "v": (kv_width, self.width),
            "o": (self.width, self.width),
            "gate": (self.ffn_width, self.width),
            "up": (self.ffn_width, self.width),
            "down": (self.width, self.ffn_width),
        }[projection]


class RmsNorm(nn.Module):
    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


class AdaptedLinear(nn.Module):
    """y = W x + sum over the active adapters of scale * alpha / rank * B (A x)"""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.active: list[tuple[Tensor, Tensor, float]] = []

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight)
        for a, b, factor in self.active:
            y = y + F.linear(F.linear(x, a), b) * factor
        return y


class Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.attention_norm = RmsNorm(config.width, config.norm_epsilon)
        self.ffn_norm = RmsNorm(config.width, config.norm_epsilon)
        for projection in PROJECTIONS:
            setattr(self, projection, AdaptedLinear(*config.projection_shape(projection)))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self._attention(self.attention_norm(x), cos, sin)
        return x + self._feed_forward(self.ffn_norm(x))

    def _attention(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        queries = rotate(self._split_heads(self.q(x), self.config.heads), cos, sin)
        keys = rotate(self._split_heads(self.k(x), self.config.kv_heads), cos, sin)
        values = self._split_heads(self.v(x), self.config.kv_heads)
        queries_per_key = self.config.heads // self.config.kv_heads
        mixed = F.scaled_dot_product_attention(
            queries,
            keys.repeat_interleave(queries_per_key, 1),
            values.repeat_interleave(queries_per_key, 1),
            is_causal=True,
        )
        return self.o(mixed.transpose(1, 2).flatten(2))

    def _split_heads(self, x: Tensor, heads: int) -> Tensor:
        return x.unflatten(-1, (heads, self.config.head_width)).transpose(1, 2)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Llama(nn.Module):
    def __init__(self, config: ModelConfig = ModelConfig()) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.empty(config.vocabulary_size, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RmsNorm(config.width, config.norm_epsilon)
        angles = rotary_angles(config)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._fill_weights()

    def forward(self, token_ids: Tensor) -> Tensor:
        """Logits of the next token at every position; the embedding doubles as the output layer."""
        length = token_ids.shape[1]
        x = F.embedding(token_ids, self.embedding)
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length])
        return F.linear(self.norm(x), self.embedding)

    def activate(self, stack: Iterable[tuple[LoraAdapter, float]]) -> None:
        """Applies these adapters at these scales, and no others, from the next call on."""
        stack = list(stack)
        for layer, block in enumerate(self.blocks):
            for projection in PROJECTIONS:
                linear = getattr(block, projection)
                linear.active = [adapter.contribution(layer, projection, scale) for adapter, scale in stack]

    @torch.no_grad()
    def _fill_weights(self) -> None:
        generator = torch.Generator().manual_seed(self.config.seed)
        self.embedding.normal_(0, 1 / math.sqrt(self.config.width), generator=generator)
        # The layers that write to the residual stream start smaller, so that it does not grow with depth.
        residual_factor = 1 / math.sqrt(2 * self.config.layers)
        for block in self.blocks:
            for projection in PROJECTIONS:
                weight = getattr(block, projection).weight
                deviation = 1 / math.sqrt(weight.shape[1])
                if projection in ("o", "down"):
                    deviation *= residual_factor
                weight.normal_(0, deviation, generator=generator)


class LoraAdapter(nn.Module):
    """Low-rank additions to every projection; B starts at zero, so an untrained adapter changes nothing."""

    def __init__(self, config: ModelConfig, rank: int = 4, alpha: float = 16.0, seed: int = 0) -> None:
        super().__init__()
        self.rank = rank
        self.alpha = alpha
        self.a = nn.ParameterDict()
        self.b = nn.ParameterDict()
        generator = torch.Generator().manual_seed(seed)
        for layer in range(config.layers):
            for projection in PROJECTIONS:
                outputs, inputs = config.projection_shape(projection)
                key = self._key(layer, projection)
                self.a[key] = nn.Parameter(torch.randn(rank, inputs, generator=generator) / math.sqrt(inputs))
                self.b[key] = nn.Parameter(torch.zeros(outputs, rank))

    def matrices(self, layer: int, projection: str) -> tuple[Tensor, Tensor]:
        key = self._key(layer, projection)
        return self.a[key], self.b[key]

    def contribution(self, layer: int, projection: str, scale: float) -> tuple[Tensor, Tensor, float]:
        return (*self.matrices(layer, projection), scale * self.alpha / self.rank)

    @staticmethod
    def _key(layer: int, projection: str) -> str:
        return f"{layer}_{projection}"


def rotary_angles(config: ModelConfig) -> Tensor:
    exponents = torch.arange(0, config.head_width, 2).float() / config.head_width
    positions = torch.arange(config.context_size).float()
    return torch.outer(positions, 1.0 / (config.rope_base**exponents))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns each adjacent pair of values by the angle of its position."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((first * cos - second * sin, first * sin + second * cos), -1).flatten(-2)


def save_model(model: Llama, path: Path) -> None:
    torch.save({"config": asdict(model.config), "weights": model.state_dict()}, path)


def load_model(path: Path) -> Llama:
    saved = torch.load(path, weights_only=True)
    model = Llama(ModelConfig(**saved["config"]))
    model.load_state_dict(saved["weights"])
    return model.requires_grad_(False)


def save_adapter(adapter: LoraAdapter, path: Path) -> None:
    torch.save({"rank": adapter.rank, "alpha": adapter.alpha, "weights": adapter.state_dict()}, path)


def load_adapter(path: Path, config: ModelConfig) -> LoraAdapter:
    saved = torch.load(path, weights_only=True)
    adapter = LoraAdapter(config, saved["rank"], saved["alpha"])
    adapter.load_state_dict(saved["weights"])
    return adapter.requires_grad_(False)
