"""Scores the exported files: how many greedy answers are exactly right, for every stack of adapters.

Reads the GGUF files rather than the checkpoints, so that a fault in quantization or export shows.
The reference is this folder's own arithmetic: an independent check of what llama.cpp answers.

Takes any JSON-lines file with expected answers: one answer (`text`, `expectedStack`, `expected`: a
ticket) or one for every stack (`text`, `expected`: {stack: answer}: a golden note).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from torch import Tensor

from batches import Example, answer_example, batch_of
from export import GGUF_PROJECTIONS, MODEL_NAME
from model import PROJECTIONS, Llama, LoraAdapter, ModelConfig
from tokenizer import Tokenizer

EXAMPLES_PER_BATCH = 64


@dataclass(frozen=True)
class Case:
    text: str
    stack: str
    expected: str

    @property
    def prompt(self) -> str:
        return f"### Text:\n{self.text}\n### Answer:\n"


@dataclass(frozen=True)
class Score:
    exact: int
    total: int
    misses: list[Case]


def read_cases(path: Path) -> list[Case]:
    cases = []
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        expected = record["expected"]
        answers = expected if isinstance(expected, dict) else {record["expectedStack"]: expected}
        cases += [Case(record["text"], stack, answer) for stack, answer in answers.items()]
    return cases


def read_base(path: Path) -> Llama:
    tensors = read_tensors(path)
    model = Llama(ModelConfig()).requires_grad_(False)
    model.embedding.copy_(tensors["token_embd.weight"])
    model.norm.weight.copy_(tensors["output_norm.weight"])
    for layer, block in enumerate(model.blocks):
        block.attention_norm.weight.copy_(tensors[f"blk.{layer}.attn_norm.weight"])
        block.ffn_norm.weight.copy_(tensors[f"blk.{layer}.ffn_norm.weight"])
        for projection in PROJECTIONS:
            name = f"blk.{layer}.{GGUF_PROJECTIONS[projection]}.weight"
            getattr(block, projection).weight.copy_(tensors[name])
    return model


def read_adapter(path: Path, config: ModelConfig) -> LoraAdapter:
    tensors = read_tensors(path)
    adapter = LoraAdapter(config).requires_grad_(False)
    for layer in range(config.layers):
        for projection in PROJECTIONS:
            name = f"blk.{layer}.{GGUF_PROJECTIONS[projection]}.weight"
            a, b = adapter.matrices(layer, projection)
            a.copy_(tensors[f"{name}.lora_a"])
            b.copy_(tensors[f"{name}.lora_b"])
    return adapter


def read_tensors(path: Path) -> dict[str, Tensor]:
    tensors = GGUFReader(path).tensors
    return {tensor.name: torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()) for tensor in tensors}


def parse_stack(stack: str, adapters: dict[str, LoraAdapter]) -> list[tuple[LoraAdapter, float]]:
    """Both spellings of a scale are understood: `medical:0.5` and, in golden files, `medical@0.5`."""
    if stack in ("", "base"):
        return []
    parts = [part.replace("@", ":").partition(":") for part in stack.split("+")]
    return [(adapters[name], float(scale or 1.0)) for name, _, scale in parts]


@torch.no_grad()
def count_exact(model: Llama, examples: list[Example]) -> list[bool]:
    """A greedy answer is exact when each of its tokens is the likeliest one after those before it.

    So one pass over prompt and answer tells what generating token by token would.
    """
    exact = []
    for start in range(0, len(examples), EXAMPLES_PER_BATCH):
        batch = batch_of(examples[start : start + EXAMPLES_PER_BATCH])
        is_right = model(batch.inputs).argmax(-1) == batch.targets
        exact += (is_right | (batch.target_weights == 0)).all(-1).tolist()
    return exact


def score(cases: list[Case], model: Llama, adapters: dict[str, LoraAdapter], tokenizer: Tokenizer) -> dict[str, Score]:
    by_stack: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: len(case.text)):  # similar lengths share a batch
        by_stack[case.stack].append(case)
    scores = {}
    for stack, cases_of_stack in sorted(by_stack.items()):
        model.activate(parse_stack(stack, adapters))
        examples = [answer_example(tokenizer, case.prompt, case.expected, 0.0, 1.0) for case in cases_of_stack]
        exact = count_exact(model, examples)
        misses = [case for case, is_exact in zip(cases_of_stack, exact) if not is_exact]
        scores[stack] = Score(sum(exact), len(exact), misses)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder that export.py wrote")
    parser.add_argument("--show-misses", action="store_true")
    parser.add_argument("cases", type=Path, help="JSON lines with expected answers")
    arguments = parser.parse_args()

    model = read_base(arguments.models / f"{MODEL_NAME}-q8_0.gguf")
    adapter_files = sorted((arguments.models / "adapters").glob("*.gguf"))
    adapters = {path.stem: read_adapter(path, model.config) for path in adapter_files}
    tokenizer = Tokenizer(arguments.models / "tokenizer.model")
    scores = score(read_cases(arguments.cases), model, adapters, tokenizer)
    for stack, result in scores.items():
        print(f"{stack or '(base)':20} {result.exact:5} of {result.total:5} exact")
        for miss in result.misses if arguments.show_misses else []:
            print(f"    {miss.expected!r} is not the answer to {miss.text!r}")
    exact = sum(result.exact for result in scores.values())
    total = sum(result.total for result in scores.values())
    print(f"{'all':20} {exact:5} of {total:5} exact ({exact / total:.2%})")


if __name__ == "__main__":
    main()
