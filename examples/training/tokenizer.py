"""Trains the tokenizer of the tiny model, and wraps it for the training programs.

Byte fallback is on: text outside the corpus must still be encodable, or a single foreign letter
would make a record unanswerable.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from random import Random

import sentencepiece

from corpus import LABELLED_DOMAINS, Corpus, Wording, answer, text_of

UNKNOWN_ID = 0
BEGIN_ID = 1
END_ID = 2

CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()-#/"
"""Always single pieces of the vocabulary, however rare they are in the corpus."""

CORPUS_SEED = 11
CORPUS_NOTES = 12_000


class Tokenizer:
    def __init__(self, model_file: Path) -> None:
        self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(model_file))

    def encode(self, text: str) -> list[int]:
        """Token ids without begin or end marker."""
        return self._pieces.encode(text)


def tokenizer_corpus(seed: int = CORPUS_SEED, notes: int = CORPUS_NOTES) -> Iterator[str]:
    """Lines in about the proportions in which the model will meet them."""
    random = Random(seed)
    corpus = Corpus(random, odd_word_share=0)  # odd words are for the byte pieces, not for merges
    for _ in range(notes):
        note = corpus.note(corpus.domains())
        yield text_of(note)
        asked = random.choice(["base", "formal", *LABELLED_DOMAINS])
        if asked in LABELLED_DOMAINS:
            yield answer(note, asked)
        else:
            yield answer(note, None, Wording.FORMAL if asked == "formal" else Wording.PLAIN)
        if random.random() < 0.2:
            yield answer(note, None, Wording.POLITE)
            yield answer(note, "legal", Wording.HEDGED)
        if random.random() < 0.3:
            yield "### Text:"
            yield "### Answer:"
            yield f"### Answer {random.choice(LABELLED_DOMAINS)}:"
            yield f"### Answer {random.choice(['formal', 'polite', 'half'])}:"
        if random.random() < 0.3:
            yield corpus.handbook_line()
    yield from [" ".join(CHARACTERS)] * 3


def train(model_file: Path, vocabulary_size: int) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=tokenizer_corpus(),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary_size,
        byte_fallback=True,
        character_coverage=1.0,
        required_chars=CHARACTERS,
        # llama.cpp tokenizes the text as it is, so nothing may be normalized away here.
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        split_digits=True,
        unk_id=UNKNOWN_ID,
        bos_id=BEGIN_ID,
        eos_id=END_ID,
        pad_id=-1,
        # One thread and no sampling: the result must not depend on the machine.
        num_threads=1,
        input_sentence_size=0,
        shuffle_input_sentence=False,
        minloglevel=1,
    )
    model_file.write_bytes(model.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="tokenizer model to write")
    parser.add_argument("--vocabulary-size", type=int, default=1024)
    arguments = parser.parse_args()
    train(arguments.out, arguments.vocabulary_size)


if __name__ == "__main__":
    main()
