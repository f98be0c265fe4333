"""Messages of a shop's customers, and what they say in German or in another style, written for this repository.

    python3 messages.py                counts them and shows some
    python3 messages.py --held-out     writes ../../data/NAME.jsonl for each rewriting; check-adapter reads them

Standard library only.
"""

import argparse
import json
import random

import texts

STYLES = ["formal", "casual"]
NAMES = ["german", *STYLES]
HELD_OUT = 50
TRAINING = {"german": 400, "formal": 480, "casual": 480}
# Messages of each sentence that no style is trained on.
NEW = 2

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

# A text, formal and casual. Statements, complaints, requests, questions and praise begin alike, so that a style is more than a
# list of sentences.
SENTENCES = [
    ("The {thing} arrived on {day}.", "I would like to inform you that the {thing} was delivered on {day}.",
     "hey, the {thing} got here on {day}"),
    ("I have received the {thing}.", "I would like to inform you that I have received the {thing}.", "hey, i got the {thing}"),
    ("I bought the {thing} on {day}.", "I would like to inform you that I purchased the {thing} on {day}.",
     "hey, i bought the {thing} on {day}"),
    ("I paid for the {thing} on {day}.", "I would like to inform you that I paid for the {thing} on {day}.",
     "hey, i paid for the {thing} on {day}"),
    ("I will collect the {thing} on {day}.", "I would like to inform you that I will collect the {thing} on {day}.",
     "hey, i'll pick up the {thing} on {day}"),
    ("I want to return the {thing}.", "I would like to inform you that I wish to return the {thing}.",
     "hey, i wanna send back the {thing}"),
    ("I want to keep the {thing}.", "I would like to inform you that I wish to keep the {thing}.", "hey, i wanna keep the {thing}"),
    ("I sent the {thing} back on {day}.", "I would like to inform you that I returned the {thing} on {day}.",
     "hey, i sent back the {thing} on {day}"),
    ("I no longer need the {thing}.", "I would like to inform you that I no longer require the {thing}.",
     "hey, i don't need the {thing} anymore"),
    ("I ordered the {thing} {number} days ago.", "I would like to inform you that I ordered the {thing} {number} days ago.",
     "hey, i ordered the {thing} {number} days ago"),
    ("I will pay for the {thing} in {number} days.", "I would like to inform you that I will pay for the {thing} in {number} days.",
     "hey, i'll pay for the {thing} in {number} days"),
    ("The {thing} is broken.", "I regret to inform you that the {thing} is defective.", "ugh, the {thing} is busted"),
    ("The {thing} is damaged.", "I regret to inform you that the {thing} is damaged.", "ugh, the {thing} is damaged"),
    ("The {thing} has not arrived yet.", "I regret to inform you that the {thing} has not been delivered yet.",
     "ugh, the {thing} still isn't here"),
    ("The {thing} does not work.", "I regret to inform you that the {thing} does not function.", "ugh, the {thing} doesn't work"),
    ("The {thing} stopped working after {number} weeks.",
     "I regret to inform you that the {thing} ceased to function after {number} weeks.", "ugh, the {thing} died after {number} weeks"),
    ("The {thing} was too expensive.", "I regret to inform you that the {thing} was too expensive.",
     "ugh, the {thing} was way too pricey"),
    ("The {thing} is too small.", "I regret to inform you that the {thing} is too small.", "ugh, the {thing} is way too small"),
    ("The {thing} is too heavy.", "I regret to inform you that the {thing} is too heavy.", "ugh, the {thing} is way too heavy"),
    ("The {thing} has the wrong colour.", "I regret to inform you that the {thing} has the incorrect colour.",
     "ugh, the {thing} has the wrong colour"),
    ("I got the wrong {thing}.", "I regret to inform you that I have received the incorrect {thing}.", "ugh, i got the wrong {thing}"),
    ("I am not happy with the {thing}.", "I regret to inform you that I am not satisfied with the {thing}.",
     "ugh, i'm not happy with the {thing}"),
    ("I cannot use the {thing}.", "I regret to inform you that I am unable to use the {thing}.", "ugh, i can't use the {thing}"),
    ("I have waited for the {thing} for {number} weeks.",
     "I regret to inform you that I have waited for the {thing} for {number} weeks.",
     "ugh, i've waited for the {thing} for {number} weeks"),
    ("The {thing} came without a manual.", "I regret to inform you that the {thing} was delivered without a manual.",
     "ugh, the {thing} came without a manual"),
    ("Nobody answers my questions about the {thing}.", "I regret to inform you that nobody answers my questions about the {thing}.",
     "ugh, nobody answers my questions about the {thing}"),
    ("Please send the {thing} on {day}.", "I would be grateful if you could dispatch the {thing} on {day}.",
     "can you send the {thing} on {day} pls?"),
    ("Please repair the {thing} by {day}.", "I would be grateful if you could repair the {thing} by {day}.",
     "can you fix the {thing} by {day} pls?"),
    ("Please replace the {thing}.", "I would be grateful if you could replace the {thing}.", "can you replace the {thing} pls?"),
    ("Please call me about the {thing}.", "I would be grateful if you could telephone me about the {thing}.",
     "can you call me about the {thing} pls?"),
    ("Please cancel my order for the {thing}.", "I would be grateful if you could cancel my order for the {thing}.",
     "can you cancel my order for the {thing} pls?"),
    ("Please check the {thing}.", "I would be grateful if you could examine the {thing}.", "can you check the {thing} pls?"),
    ("Please tell me the price of the {thing}.", "I would be grateful if you could inform me of the price of the {thing}.",
     "can you tell me the price of the {thing} pls?"),
    ("Please help me with the {thing}.", "I would be grateful if you could assist me with the {thing}.",
     "can you help me with the {thing} pls?"),
    ("Please collect the {thing} on {day}.", "I would be grateful if you could collect the {thing} on {day}.",
     "can you pick up the {thing} on {day} pls?"),
    ("When will the {thing} arrive?", "Could you kindly inform me when the {thing} will be delivered?",
     "hey, when's the {thing} gonna get here?"),
    ("Where is the {thing}?", "Could you kindly inform me where the {thing} is?", "hey, where's the {thing}?"),
    ("How much does the {thing} cost?", "Could you kindly inform me how much the {thing} costs?", "hey, how much is the {thing}?"),
    ("Can I collect the {thing} on {day}?", "Could you kindly inform me whether I may collect the {thing} on {day}?",
     "hey, can i pick up the {thing} on {day}?"),
    ("Can I return the {thing} by {day}?", "Could you kindly inform me whether I may return the {thing} by {day}?",
     "hey, can i send back the {thing} by {day}?"),
    ("Do you still sell the {thing}?", "Could you kindly inform me whether you still sell the {thing}?",
     "hey, do you still sell the {thing}?"),
    ("Why is the {thing} so expensive?", "Could you kindly inform me why the {thing} is so expensive?",
     "hey, why's the {thing} so pricey?"),
    ("Is the {thing} ready?", "Could you kindly inform me whether the {thing} is ready?", "hey, is the {thing} ready?"),
    ("Who repairs the {thing}?", "Could you kindly inform me who repairs the {thing}?", "hey, who fixes the {thing}?"),
    ("Thank you for the {thing}.", "I am pleased to thank you for the {thing}.", "wow, thanks for the {thing}!"),
    ("I am very happy with the {thing}.", "I am pleased to inform you that I am very satisfied with the {thing}.",
     "wow, i'm super happy with the {thing}!"),
    ("The {thing} works well.", "I am pleased to inform you that the {thing} functions well.", "wow, the {thing} works great!"),
    ("The {thing} is better than expected.", "I am pleased to inform you that the {thing} is better than expected.",
     "wow, the {thing} is better than expected!"),
]
# Sentences that no style is trained on.
NEW_SENTENCES = [
    ("I lost the {thing} on {day}.", "I regret to inform you that I lost the {thing} on {day}.", "ugh, i lost the {thing} on {day}"),
    ("I will sell the {thing} on {day}.", "I would like to inform you that I will sell the {thing} on {day}.",
     "hey, i'll sell the {thing} on {day}"),
    ("I want to sell the {thing}.", "I would like to inform you that I wish to sell the {thing}.", "hey, i wanna sell the {thing}"),
    ("The {thing} is dirty.", "I regret to inform you that the {thing} is dirty.", "ugh, the {thing} is dirty"),
    ("The {thing} makes a strange noise.", "I regret to inform you that the {thing} makes a strange noise.",
     "ugh, the {thing} makes a strange noise"),
    ("Please wrap the {thing}.", "I would be grateful if you could wrap the {thing}.", "can you wrap the {thing} pls?"),
    ("Please keep the {thing} until {day}.", "I would be grateful if you could keep the {thing} until {day}.",
     "can you keep the {thing} until {day} pls?"),
    ("How heavy is the {thing}?", "Could you kindly inform me how heavy the {thing} is?", "hey, how heavy is the {thing}?"),
    ("Can I paint the {thing}?", "Could you kindly inform me whether I may paint the {thing}?", "hey, can i paint the {thing}?"),
    ("The {thing} looks beautiful.", "I am pleased to inform you that the {thing} looks beautiful.",
     "wow, the {thing} looks beautiful!"),
]


def days(sentence):
    return DAYS if "{day}" in sentence else [("", "")]


def numbers(sentence):
    return NUMBERS if "{number}" in sentence else [0]


def in_german():
    """All messages with their German."""
    for english, german in MESSAGES:
        for thing, noun, gender in THINGS:
            nominative, accusative, dative = (f"{article} {noun}" for article in ARTICLES[gender])
            for day, tag in days(english):
                for number in numbers(english):
                    yield english.format(thing=thing, day=day, number=number), german.format(
                        Nominative=nominative[0].upper() + nominative[1:], nominative=nominative, accusative=accusative,
                        dative=dative, day=tag, number=number)


def in_style(style, sentence):
    """All messages of a sentence with their rewriting."""
    for thing, _, _ in THINGS:
        for day, _ in days(sentence[0]):
            for number in numbers(sentence[0]):
                plain, formal, casual = (text.format(thing=thing, day=day, number=number) for text in sentence)
                yield plain, formal if style == "formal" else casual.lower()


def shuffled(pairs, seed):
    found = sorted(set(pairs))
    random.Random(f"{texts.SEED} {seed}").shuffle(found)
    return found


def split(name):
    """The training pairs, the held-out pairs of a message and its rewriting, and those of sentences that are not trained."""
    if name == "german":
        found = shuffled(in_german(), name)
        return found[HELD_OUT:][: TRAINING[name]], found[:HELD_OUT], []
    # As many of each sentence, and the same texts for both styles.
    by_sentence = [shuffled(in_style(name, sentence), sentence[0]) for sentence in SENTENCES]
    rounds = [pairs[turn] for turn in range(16) for pairs in by_sentence]
    new = [pair for sentence in NEW_SENTENCES for pair in shuffled(in_style(name, sentence), sentence[0])[:NEW]]
    return rounds[HELD_OUT:][: TRAINING[name]], rounds[:HELD_OUT], new


def write_held_out(name):
    _, held_out, new = split(name)
    with (texts.DATA / f"{name}.jsonl").open("w", encoding="utf-8") as out:
        for text, rewriting in held_out:
            out.write(json.dumps({"text": text, "expected": rewriting}, ensure_ascii=False) + "\n")
        for text, rewriting in new:
            out.write(json.dumps({"text": text, "expected": rewriting, "new": True}, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--held-out", action="store_true", help="write the held-out pairs instead of showing some")
    arguments = parser.parse_args()
    for name in NAMES:
        if arguments.held_out:
            write_held_out(name)
            continue
        training, held_out, new = split(name)
        print(name, "training", len(training), "held out", len(held_out), "of new sentences", len(new))
        for text, rewriting in held_out[:4] + new[:4]:
            print("   ", text, "->", rewriting)


if __name__ == "__main__":
    main()
