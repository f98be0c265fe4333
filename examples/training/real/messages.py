"""Messages of a shop's customers and what they say in German, written for this repository.

    python3 messages.py                counts them and shows some
    python3 messages.py --held-out     writes ../../data/german.jsonl, which check-adapter reads

Standard library only.
"""

import argparse
import json
import random

import texts

NAME = "german"
HELD_OUT = 50
TRAINING = 400

# English and German with the gender.
THINGS = [
    ("parcel", "Paket", "n"), ("invoice", "Rechnung", "f"), ("bicycle", "Fahrrad", "n"), ("lamp", "Lampe", "f"),
    ("chair", "Stuhl", "m"), ("coffee machine", "Kaffeemaschine", "f"), ("printer", "Drucker", "m"), ("book", "Buch", "n"),
    ("camera", "Kamera", "f"), ("table", "Tisch", "m"), ("keyboard", "Tastatur", "f"), ("jacket", "Jacke", "f"),
    ("phone", "Telefon", "n"), ("key", "Schlüssel", "m"), ("bag", "Tasche", "f"), ("battery", "Batterie", "f"),
]
ARTICLES = {"m": ("der", "den", "dem"), "f": ("die", "die", "der"), "n": ("das", "das", "dem")}
DAYS = [
    ("Monday", "Montag"), ("Tuesday", "Dienstag"), ("Wednesday", "Mittwoch"), ("Thursday", "Donnerstag"), ("Friday", "Freitag"),
    ("Saturday", "Samstag"), ("Sunday", "Sonntag"),
]
NUMBERS = range(2, 10)
# {nominative}, {accusative} and {dative} are the thing with its article.
MESSAGES = [
    ("The {thing} arrived on {day}.", "{Nominative} ist am {day} angekommen."),
    ("The {thing} has not arrived yet.", "{Nominative} ist noch nicht angekommen."),
    ("I would like to return the {thing}.", "Ich möchte {accusative} zurückgeben."),
    ("The {thing} is broken.", "{Nominative} ist kaputt."),
    ("When will the {thing} arrive?", "Wann kommt {nominative} an?"),
    ("The {thing} was too expensive.", "{Nominative} war zu teuer."),
    ("Please send the {thing} on {day}.", "Bitte schicken Sie {accusative} am {day}."),
    ("I ordered the {thing} {number} days ago.", "Ich habe {accusative} vor {number} Tagen bestellt."),
    ("The {thing} costs {number} euros.", "{Nominative} kostet {number} Euro."),
    ("Please repair the {thing} by {day}.", "Bitte reparieren Sie {accusative} bis {day}."),
    ("Where is the {thing}?", "Wo ist {nominative}?"),
    ("The {thing} stopped working after {number} weeks.", "{Nominative} funktioniert nach {number} Wochen nicht mehr."),
    ("Thank you for the {thing}.", "Danke für {accusative}."),
    ("The {thing} is smaller than expected.", "{Nominative} ist kleiner als erwartet."),
    ("I am very happy with the {thing}.", "Ich bin mit {dative} sehr zufrieden."),
    ("Can I collect the {thing} on {day}?", "Kann ich {accusative} am {day} abholen?"),
    ("The {thing} has the wrong colour.", "{Nominative} hat die falsche Farbe."),
]


def messages():
    """All messages with their German."""
    for english, german in MESSAGES:
        for thing, noun, gender in THINGS:
            nominative, accusative, dative = (f"{article} {noun}" for article in ARTICLES[gender])
            for day, tag in DAYS if "{day}" in english else [("", "")]:
                for number in NUMBERS if "{number}" in english else [0]:
                    yield english.format(thing=thing, day=day, number=number), german.format(
                        Nominative=nominative[0].upper() + nominative[1:], nominative=nominative, accusative=accusative,
                        dative=dative, day=tag, number=number)


def split():
    """The training pairs and the held-out pairs of a message and its German."""
    found = sorted(set(messages()))
    random.Random(f"{texts.SEED} {NAME}").shuffle(found)
    return found[HELD_OUT:][:TRAINING], found[:HELD_OUT]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--held-out", action="store_true", help="write the held-out pairs instead of showing some")
    training, held_out = split()
    if parser.parse_args().held_out:
        with (texts.DATA / f"{NAME}.jsonl").open("w", encoding="utf-8") as out:
            for text, german in held_out:
                out.write(json.dumps({"text": text, "expected": german}, ensure_ascii=False) + "\n")
        return
    print(len(set(messages())), "messages, training", len(training), "held out", len(held_out))
    for text, german in held_out[:8]:
        print("   ", text, "->", german)


if __name__ == "__main__":
    main()
