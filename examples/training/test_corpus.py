"""Holds the corpus to its promises. Run with `python3 -m unittest` in this folder."""

from __future__ import annotations

import hashlib
import unittest
from random import Random

from corpus import DOMAINS, LABELLED_DOMAINS, Corpus, Split, Wording, answer, prompt_of, text_of


class CorpusTest(unittest.TestCase):
    def test_a_seed_keeps_giving_the_corpus_the_published_model_was_trained_on(self) -> None:
        corpus = Corpus(Random(21))
        digest = hashlib.sha256()
        for number in range(4000):
            note = corpus.note(corpus.domains(), list(Split)[number % len(Split)])
            digest.update(prompt_of(note).encode())
            for domain in LABELLED_DOMAINS:
                digest.update(answer(note, domain).encode())
            digest.update(corpus.handbook_line().encode())
        self.assertEqual("87cd7a4ea0ae1ff55e845d8eaf303a6e7ddda728af1885ebb8f7e0c3d2f51d39", digest.hexdigest())

    def test_training_never_sees_what_is_held_out(self) -> None:
        corpus = Corpus(Random(1), odd_word_share=0)
        for domain in LABELLED_DOMAINS:
            for _ in range(500):
                self.assertFalse(corpus.sentence(domain, Split.TRAINING).is_held_out)
                trained = corpus.sentence(domain, Split.ADAPTER_TRAINING)
                self.assertFalse(trained.is_held_out or trained.is_novel)
                self.assertTrue(corpus.sentence(domain, Split.HELD_OUT).is_held_out)
                self.assertTrue(corpus.sentence(domain, Split.NOVEL).is_novel)

    def test_every_stack_has_its_own_answer(self) -> None:
        note = Corpus(Random(2), odd_word_share=0).note(["medical"])
        answers = {
            answer(note, domain, wording)
            for domain in (None, *LABELLED_DOMAINS)
            for wording in Wording
        }
        self.assertEqual(len(answers), (1 + len(LABELLED_DOMAINS)) * len(Wording))

    def test_a_domain_without_a_sentence_is_an_answer_too(self) -> None:
        note = Corpus(Random(3)).note(["general"])
        self.assertEqual("no legal content", answer(note, "legal"))
        self.assertEqual("perhaps no legal content", answer(note, "legal", Wording.HEDGED))

    def test_odd_words_can_be_switched_off(self) -> None:
        corpus = Corpus(Random(4), odd_word_share=0)
        self.assertTrue(all(text_of(corpus.note(DOMAINS)).isascii() for _ in range(500)))


if __name__ == "__main__":
    unittest.main()
