"""Trains one LoRA adapter on the frozen base model.

A domain adapter sees every answer in two strengths: the label at scale 1, `perhaps <label>` at
scale 0.5. So a test can tell from an answer that its scale arrived.

The `formal` adapter is trained on top of the finished domain adapters, so that it rewords their
answers instead of replacing them. Two domain adapters are never trained together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F

from batches import Batch, Example, answer_example, batches, learning_rate
from corpus import LABELLED_DOMAINS, Corpus, Split, Wording, answer, prompt_of
from model import Llama, LoraAdapter, load_adapter, load_model, save_adapter
from tokenizer import Tokenizer

SEEDS = {"medical": 31, "legal": 32, "finance": 33, "formal": 34}
EXAMPLES_PER_ROUND = 800
WARM_UP_STEPS = 40
DOMAIN_PRESENT_SHARE = 0.75
"""How often a note is made to hold the asked domain; in the rest the answer may be `no ... content`."""

COMPANION_SHARE = 0.65
"""How often `formal` may be trained on top of a domain adapter instead of alone."""

Task = tuple[str | None, bool]
"""The domain that gives the answer's subject (None: the base), and whether the adapter runs at scale 0.5."""


class AdapterExamples:
    """One stream of batches for each task, because a whole batch runs under one stack of adapters."""

    def __init__(self, name: str, tokenizer: Tokenizer, tokens_per_batch: int, random: Random) -> None:
        self._at_full_scale = Wording.FORMAL if name == "formal" else Wording.PLAIN
        self._at_half_scale = Wording.POLITE if name == "formal" else Wording.HEDGED
        self._tokenizer = tokenizer
        self._tokens_per_batch = tokens_per_batch
        self._random = random
        self._corpus = Corpus(random)
        self._streams: dict[Task, Iterator[Batch]] = {}

    def next_batch(self, task: Task) -> Batch:
        batch = next(self._streams.get(task, iter(())), None)
        if batch is not None:
            return batch
        examples = [self._draw(task) for _ in range(EXAMPLES_PER_ROUND)]
        self._streams[task] = batches(examples, self._tokens_per_batch, self._random)
        return self.next_batch(task)

    def _draw(self, task: Task) -> Example:
        domain, is_half_scale = task
        domains = self._corpus.domains()
        if domain and domain not in domains and self._random.random() < DOMAIN_PRESENT_SHARE:
            domains[self._random.randrange(len(domains))] = domain
        note = self._corpus.note(domains, Split.ADAPTER_TRAINING)
        wording = self._at_half_scale if is_half_scale else self._at_full_scale
        return answer_example(self._tokenizer, prompt_of(note), answer(note, domain, wording), 0.0, 1.0)


def draw_task(name: str, companions: list[str], half_scale_share: float, random: Random) -> Task:
    domain = None if name == "formal" else name
    if companions and random.random() < COMPANION_SHARE:
        domain = random.choice([None, *companions])
    return domain, random.random() < half_scale_share


def train(
    name: str,
    base: Llama,
    companions: dict[str, LoraAdapter],
    tokenizer: Tokenizer,
    steps: int,
    tokens_per_batch: int,
    peak_rate: float,
    half_scale_share: float,
    log_every: int,
) -> LoraAdapter:
    random = Random(SEEDS[name])
    examples = AdapterExamples(name, tokenizer, tokens_per_batch, random)
    adapter = LoraAdapter(base.config, seed=SEEDS[name])
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=peak_rate, betas=(0.9, 0.98), weight_decay=0.0)
    started = time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(peak_rate, step, steps, WARM_UP_STEPS)
        domain, is_half_scale = task = draw_task(name, list(companions), half_scale_share, random)
        batch = examples.next_batch(task)
        stack = [(adapter, 0.5 if is_half_scale else 1.0)]
        if domain in companions:
            stack.append((companions[domain], 1.0))
        base.activate(stack)
        counts = batch.target_weights > 0
        loss = F.cross_entropy(base(batch.inputs)[counts], batch.targets[counts])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % log_every == 0 or step == 0:
            print(f"step {step + 1} loss {loss.item():.6f} {time.monotonic() - started:.0f} s", flush=True)
    return adapter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(SEEDS))
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True, help="checkpoint of the base model")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument(
        "--on-top-of",
        nargs="*",
        type=Path,
        default=[],
        metavar="DOMAIN.pt",
        help="finished domain adapters that `formal` must reword; each file is named after its domain",
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--tokens-per-batch", type=int, default=1024)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--half-scale-share", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log-every", type=int, default=50)
    arguments = parser.parse_args()
    if (arguments.name == "formal") != bool(arguments.on_top_of):
        parser.error("--on-top-of belongs to the adapter `formal`, which needs it")
    unknown = [path.stem for path in arguments.on_top_of if path.stem not in LABELLED_DOMAINS]
    if unknown:
        parser.error(f"not a domain: {', '.join(unknown)}")

    torch.set_num_threads(arguments.threads)
    base = load_model(arguments.base)
    adapter = train(
        arguments.name,
        base,
        {path.stem: load_adapter(path, base.config) for path in arguments.on_top_of},
        Tokenizer(arguments.tokenizer),
        arguments.steps,
        arguments.tokens_per_batch,
        arguments.learning_rate,
        arguments.half_scale_share,
        arguments.log_every,
    )
    save_adapter(adapter, arguments.out)


if __name__ == "__main__":
    main()
