"""Trains the base model.

Besides naming topics, the base learns the whole task behind control words in the prompt
(`### Answer medical formal:`). That gives an adapter of rank 4 something to switch on: it does not
have to bring the knowledge, only the decision to use it when the prompt does not ask.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F

from batches import Batch, Example, answer_example, batches, learning_rate, text_example
from corpus import LABELLED_DOMAINS, Corpus, Wording, answer, prompt_of, text_of
from model import Llama, save_model
from tokenizer import Tokenizer

CORPUS_SEED = 21
EXAMPLES_PER_ROUND = 4000
WARM_UP_STEPS = 100

PROMPT_WEIGHT = 1.0
ANSWER_WEIGHT = 3.0
STEERED_ANSWER_WEIGHT = 3.001
"""For answers that a domain's control word asked for. Any value near ANSWER_WEIGHT would do; this
one made the published model, so this one reproduces it."""


class BaseExamples:
    def __init__(self, tokenizer: Tokenizer, random: Random) -> None:
        self._tokenizer = tokenizer
        self._random = random
        self._corpus = Corpus(random)

    def draw(self) -> Example:
        kind = self._random.random()
        if kind < 0.10:
            lines = [self._corpus.handbook_line() for _ in range(self._random.randint(1, 4))]
            return text_example(self._tokenizer, "\n".join(lines))
        if kind < 0.14:
            return text_example(self._tokenizer, text_of(self._corpus.note(self._corpus.domains())))
        return self._question()

    def _question(self) -> Example:
        domains = self._corpus.domains()
        asked, wording = self._asked_answer()
        if asked and asked not in domains and self._random.random() < 0.6:
            domains[self._random.randrange(len(domains))] = asked
        note = self._corpus.note(domains)
        control = " ".join(word for word in (asked, wording.value) if word)
        return answer_example(
            self._tokenizer,
            prompt_of(note, control),
            answer(note, asked, wording),
            PROMPT_WEIGHT,
            STEERED_ANSWER_WEIGHT if asked else ANSWER_WEIGHT,
        )

    def _asked_answer(self) -> tuple[str | None, Wording]:
        kind = self._random.random()
        if kind < 0.42:
            return None, Wording.PLAIN
        if kind < 0.64:
            return self._random.choice(LABELLED_DOMAINS), Wording.PLAIN
        if kind < 0.76:
            return self._random.choice(LABELLED_DOMAINS), Wording.HEDGED
        asked = None if kind < 0.84 else self._random.choice(LABELLED_DOMAINS)
        return asked, self._random.choice([Wording.FORMAL, Wording.FORMAL, Wording.POLITE])


def new_optimizer(model: Llama, peak_rate: float) -> torch.optim.Optimizer:
    """Weight decay is for matrices; decaying a norm's gain would only shrink the signal."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    gains = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": gains, "weight_decay": 0.0}],
        lr=peak_rate,
        betas=(0.9, 0.98),
    )


def losses(model: Llama, batch: Batch) -> tuple[torch.Tensor, float]:
    """The weighted loss to minimize, and the plain mean over answer tokens to look at."""
    logits = model(batch.inputs)
    weights = batch.target_weights
    per_token = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="none").view(weights.shape)
    is_answer = (weights > PROMPT_WEIGHT).float()
    answer_loss = (per_token.detach() * is_answer).sum() / is_answer.sum().clamp(min=1)
    return (per_token * weights).sum() / weights.sum(), float(answer_loss)


def train(tokenizer: Tokenizer, steps: int, tokens_per_batch: int, peak_rate: float, log_every: int) -> Llama:
    random = Random(CORPUS_SEED)
    examples = BaseExamples(tokenizer, random)
    model = Llama()
    optimizer = new_optimizer(model, peak_rate)
    started = time.monotonic()
    step = 0
    while step < steps:
        drawn = [examples.draw() for _ in range(EXAMPLES_PER_ROUND)]
        for batch in batches(drawn, tokens_per_batch, random):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(peak_rate, step, steps, WARM_UP_STEPS)
            loss, answer_loss = losses(model, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % log_every == 0 or step == 1:
                seconds = time.monotonic() - started
                print(f"step {step} loss {loss.item():.6f} answers {answer_loss:.4f} {seconds:.0f} s", flush=True)
            if step >= steps:
                break
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--tokens-per-batch", type=int, default=1024)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log-every", type=int, default=50)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    model = train(
        Tokenizer(arguments.tokenizer),
        arguments.steps,
        arguments.tokens_per_batch,
        arguments.learning_rate,
        arguments.log_every,
    )
    save_model(model, arguments.out)


if __name__ == "__main__":
    main()
