"""From texts to padded batches of tokens, with a weight on every token to be predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from tokenizer import BEGIN_ID, END_ID, Tokenizer


@dataclass(frozen=True)
class Example:
    token_ids: list[int]
    weights: list[float]
    """weights[i] is how much it counts to predict token_ids[i] from the tokens before it."""


@dataclass(frozen=True)
class Batch:
    token_ids: Tensor
    weights: Tensor

    @property
    def inputs(self) -> Tensor:
        return self.token_ids[:, :-1]

    @property
    def targets(self) -> Tensor:
        return self.token_ids[:, 1:]

    @property
    def target_weights(self) -> Tensor:
        return self.weights[:, 1:]


def text_example(tokenizer: Tokenizer, text: str) -> Example:
    """Every token counts alike."""
    token_ids = [BEGIN_ID, *tokenizer.encode(text), END_ID]
    return Example(token_ids, [0.0] + [1.0] * (len(token_ids) - 1))


def answer_example(
    tokenizer: Tokenizer, prompt: str, answer: str, prompt_weight: float, answer_weight: float
) -> Example:
    """The end marker counts as part of the answer: the model must learn to stop."""
    prompt_ids = [BEGIN_ID, *tokenizer.encode(prompt)]
    token_ids = [BEGIN_ID, *tokenizer.encode(prompt + answer), END_ID]
    # Generation starts from the tokens of the prompt alone, so no token may span its end.
    assert token_ids[: len(prompt_ids)] == prompt_ids, f"the answer merges into the prompt: {prompt + answer!r}"
    weights = [0.0] + [prompt_weight] * (len(prompt_ids) - 1)
    weights += [answer_weight] * (len(token_ids) - len(prompt_ids))
    return Example(token_ids, weights)


def batches(examples: list[Example], tokens_per_batch: int, random: Random) -> Iterator[Batch]:
    """Batches of examples of similar length, so that little of a batch is padding, in random order."""
    by_length = sorted(examples, key=lambda example: (len(example.token_ids), random.random()))
    groups: list[list[Example]] = []
    for example in by_length:
        if not groups or (len(groups[-1]) + 1) * len(example.token_ids) > tokens_per_batch:
            groups.append([])
        groups[-1].append(example)
    random.shuffle(groups)
    return (batch_of(group) for group in groups)


def batch_of(group: list[Example]) -> Batch:
    """One padded batch; padding has weight 0."""
    longest = max(len(example.token_ids) for example in group)
    token_ids = torch.zeros(len(group), longest, dtype=torch.long)
    weights = torch.zeros(len(group), longest)
    for row, example in enumerate(group):
        length = len(example.token_ids)
        token_ids[row, :length] = torch.tensor(example.token_ids)
        weights[row, :length] = torch.tensor(example.weights)
    return Batch(token_ids, weights)


def learning_rate(peak: float, step: int, steps: int, warm_up: int) -> float:
    """A linear rise over `warm_up` steps, then a cosine down to 3 % of the peak."""
    return peak * min(1, (step + 1) / warm_up) * (0.5 * (1 + math.cos(math.pi * step / steps)) * 0.97 + 0.03)
