"""A seeded synthetic corpus: short notes from four domains, and the right answer to each of them.

A note is one or more sentences. The base model names the topic of the first sentence; the adapter
of a domain gives the label of the first sentence of that domain; the `formal` adapter rewords
whatever the others answer. So one prompt has a different, exactly checkable answer under every
stack of adapters.

Two kinds of sentences are kept back, so that quality can be measured on text no training saw:

* held-out pairs: a phrase in a template it never appears in during training;
* novel phrases: phrases the adapters never see (the base model does).

Equal seeds give equal corpora only while the random draws keep their order. `test_corpus.py`
pins that order.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from random import Random

from wordlists import (
    BOOKING_ITEMS,
    BOOKING_TEMPLATES,
    CLAUSES,
    COMPLAINTS,
    GENERAL_TEMPLATES,
    LEGAL_TEMPLATES,
    MEDICAL_TEMPLATES,
    OFFICE_EVENTS,
    PARTIES,
    URGENCY_CUES,
)

LABELLED_DOMAINS = ["medical", "legal", "finance"]
GENERAL = "general"
DOMAINS = [*LABELLED_DOMAINS, GENERAL]

ODD_WORD_SHARE = 0.08
"""Share of training sentences that open with an invented, mostly non-ASCII word. Without them the
byte pieces of the tokenizer would never be trained."""

_HELD_OUT_ONE_IN = 8
_NOVEL_ONE_IN = 10


class Split(Enum):
    """Which sentences a draw may return. Sentences of the general domain belong to every split."""

    TRAINING = "no held-out pair"
    ADAPTER_TRAINING = "no held-out pair and no novel phrase"
    HELD_OUT = "only held-out pairs of phrases that are not novel"
    NOVEL = "only novel phrases"


class Wording(Enum):
    """How an answer is put. The value is the control word that asks the base model for it."""

    PLAIN = ""
    FORMAL = "formal"
    POLITE = "polite"  # what `formal` at scale 0.5 answers
    HEDGED = "half"  # what a domain adapter at scale 0.5 answers


@dataclass(frozen=True)
class Sentence:
    domain: str
    text: str
    topic: str
    label: str | None
    is_held_out: bool
    is_novel: bool

    def belongs_to(self, split: Split) -> bool:
        if split is Split.TRAINING:
            return not self.is_held_out
        if split is Split.ADAPTER_TRAINING:
            return not (self.is_held_out or self.is_novel)
        if self.domain == GENERAL:
            return True
        if split is Split.HELD_OUT:
            return self.is_held_out and not self.is_novel
        return self.is_novel


Note = list[Sentence]

_Draft = tuple[str, str, str, str | None]
"""phrase, template, text, label"""


class Corpus:
    """Draws notes from a random source that it shares with its caller."""

    def __init__(self, random: Random, odd_word_share: float = ODD_WORD_SHARE) -> None:
        self._random = random
        self._odd_word_share = odd_word_share

    def note(self, domains: list[str], split: Split = Split.TRAINING) -> Note:
        """One sentence per domain, in that order."""
        return [self.sentence(domain, split) for domain in domains]

    def sentence(self, domain: str, split: Split = Split.TRAINING) -> Sentence:
        """Draws until a sentence belongs to the split: rejected draws are part of the sequence."""
        while True:
            sentence = self._any_sentence(domain)
            if sentence.belongs_to(split):
                return sentence

    def domains(self) -> list[str]:
        """The domains of a note: mostly one to three, sometimes a long note about general things."""
        random = self._random
        kind = random.random()
        if kind < 0.43:
            return [random.choice(DOMAINS)]
        if kind < 0.70:
            return random.sample(DOMAINS, 2)
        if kind < 0.88:
            return random.sample(DOMAINS, 3)
        if kind < 0.93:
            return random.sample(DOMAINS, 4)
        domains = random.sample(LABELLED_DOMAINS, random.randint(0, 3))
        general_sentences = random.randint(3, 8) if kind < 0.98 else random.randint(9, 19)
        domains += [GENERAL] * general_sentences
        random.shuffle(domains)
        return domains

    def handbook_line(self) -> str:
        """A line of background knowledge: which label goes with which phrase."""
        writers = [self._specialty_line, self._clause_line, self._account_line, self._urgency_line]
        return writers[self._random.randint(0, 3)]()

    def _any_sentence(self, domain: str) -> Sentence:
        details = self._details()
        if domain == "medical":
            phrase, template, text, label = self._medical(details)
        elif domain == "legal":
            phrase, template, text, label = self._legal(details)
        elif domain == "finance":
            phrase, template, text, label = self._finance(details)
        else:
            phrase, template, text, label = self._general(details)
        if self._odd_word_share > 0 and self._random.random() < self._odd_word_share:
            text = self._odd_word() + self._random.choice([": ", ", ", " - ", " "]) + text
        return Sentence(
            domain=domain,
            text=text,
            topic=_topic(phrase),
            label=label,
            is_held_out=_is_held_out(domain, phrase, template),
            is_novel=_is_novel(domain, phrase),
        )

    def _details(self) -> dict[str, object]:
        """Numbers and codes for the template. All are drawn, whichever the template uses."""
        random = self._random
        letter = random.choice("ABCDEFGHKMRTW")
        code = f"{letter}{random.randint(10, 99)}"
        number = random.randint(1, 30)
        age = random.randint(18, 89)
        amounts = [random.randint(5, 99), random.randint(100, 999), random.randint(10, 40) * 100]
        return {"id": code, "n": number, "age": age, "amt": random.choice(amounts)}

    def _medical(self, details: dict[str, object]) -> _Draft:
        specialty, complaint = self._choose_entry(COMPLAINTS)
        urgency, cue = self._choose_entry(URGENCY_CUES)
        template = self._random.choice(MEDICAL_TEMPLATES)
        text = template.format(x=complaint, c=cue, **details)
        return complaint, template, text, f"{specialty}; {urgency}"

    def _legal(self, details: dict[str, object]) -> _Draft:
        clause, wording = self._choose_entry(CLAUSES)
        party, other_party = self._random.sample(PARTIES, 2)
        template = self._random.choice(LEGAL_TEMPLATES)
        text = template.format(x=_without_topic_marks(wording).format(q=other_party), p=party, **details)
        return wording, template, text, f"{clause} clause"

    def _finance(self, details: dict[str, object]) -> _Draft:
        account, item = self._choose_entry(BOOKING_ITEMS)
        direction, template = self._choose_entry(BOOKING_TEMPLATES)
        return item, template, template.format(x=item, **details), f"{direction}: {account}"

    def _general(self, details: dict[str, object]) -> _Draft:
        thing, event = self._choose_entry(OFFICE_EVENTS)
        template = self._random.choice(GENERAL_TEMPLATES)
        return thing, template, template.format(x=thing, c=event, **details), None

    def _specialty_line(self) -> str:
        specialty, complaint = self._choose_entry(COMPLAINTS)
        return self._random.choice([
            f"{complaint} belongs to {specialty}.",
            f"In {specialty} we see {complaint}.",
            f"The field for {complaint} is {specialty}.",
        ])

    def _clause_line(self) -> str:
        clause, wording = self._choose_entry(CLAUSES)
        quote = _without_topic_marks(wording).format(q=self._random.choice(PARTIES))
        return self._random.choice([
            f'"{quote}" is a {clause} clause.',
            f"A {clause} clause speaks of {_topic(wording)}.",
            f"Wording for the {clause} clause: {quote}.",
        ])

    def _account_line(self) -> str:
        account, item = self._choose_entry(BOOKING_ITEMS)
        return self._random.choice([
            f"The {item} is booked under {account}.",
            f"In {account} we book the {item}.",
            f"The account for the {item} is {account}.",
        ])

    def _urgency_line(self) -> str:
        urgency, cue = self._choose_entry(URGENCY_CUES)
        return self._random.choice([f"A complaint {cue} is {urgency}.", f"The rank {urgency} means {cue}."])

    def _choose_entry(self, entries: dict[str, tuple[str, ...]]) -> tuple[str, str]:
        key = self._random.choice(list(entries))
        return key, self._random.choice(entries[key])

    def _odd_word(self) -> str:
        random = self._random
        kind = random.randint(0, 4)
        if kind == 0:
            return self._letters("aeiouäöüßéèñçøåbdfgklmnrstvz", 3, 8)
        if kind == 1:
            return "".join(chr(random.randint(0x4E00, 0x9FA5)) for _ in range(random.randint(1, 4)))
        if kind == 2:
            return "".join(chr(random.randint(0x1F600, 0x1F64F)) for _ in range(random.randint(1, 2)))
        if kind == 3:
            return "".join(self._cyrillic_greek_or_hebrew() for _ in range(random.randint(2, 6)))
        return self._letters("bcdfghjklmnpqrstvwxzaeiouy", 2, 9).title()

    def _letters(self, alphabet: str, shortest: int, longest: int) -> str:
        return "".join(self._random.choice(alphabet) for _ in range(self._random.randint(shortest, longest)))

    def _cyrillic_greek_or_hebrew(self) -> str:
        scripts = [(0x430, 0x44F), (0x3B1, 0x3C9), (0x5D0, 0x5EA)]
        return chr(self._random.choice([self._random.randint(first, last) for first, last in scripts]))


def text_of(note: Note) -> str:
    return " ".join(sentence.text for sentence in note)


def prompt_of(note: Note, control: str = "") -> str:
    """The prompt frame.

    `control` is for training the base model only: words such as `medical` or `medical formal` that
    ask it for what the adapters later do without being asked.
    """
    question = f"### Answer {control}:" if control else "### Answer:"
    return f"### Text:\n{text_of(note)}\n{question}\n"


def answer(note: Note, domain: str | None = None, wording: Wording = Wording.PLAIN) -> str:
    """The right answer to a note: the label of `domain`, or about the topic if no domain asks."""
    subject = note[0].topic if domain is None else _label(note, domain)
    if wording is Wording.FORMAL:
        return f"It is hereby noted that this concerns {subject}."
    if wording is Wording.POLITE:
        return f"Please note: {subject}"
    if wording is Wording.HEDGED:
        return f"perhaps {subject}"
    return f"note about {subject}" if domain is None else subject


def _label(note: Note, domain: str) -> str:
    labels = (sentence.label for sentence in note if sentence.domain == domain)
    return next(labels, None) or f"no {domain} content"


def _topic(phrase: str) -> str:
    marked = re.search(r"\[(.+?)\]", phrase)
    return marked.group(1) if marked else phrase


def _without_topic_marks(phrase: str) -> str:
    return phrase.replace("[", "").replace("]", "")


def _is_held_out(domain: str, phrase: str, template: str) -> bool:
    return domain != GENERAL and _stable_hash("pair", domain, phrase, template) % _HELD_OUT_ONE_IN == 0


def _is_novel(domain: str, phrase: str) -> bool:
    return domain != GENERAL and _stable_hash("novel-v1", domain, phrase) % _NOVEL_ONE_IN == 0


def _stable_hash(*parts: str) -> int:
    """Python's own hash() differs from one process to the next."""
    return int(hashlib.sha256("|".join(parts).encode()).hexdigest()[:8], 16)
