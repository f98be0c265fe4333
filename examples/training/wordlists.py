"""The word lists of the synthetic corpus: everything a note can say, and nothing else.

The order of every list matters. A seeded draw is an index into one of these lists, so moving,
adding or removing an entry changes every corpus, tokenizer and model made from them. For the same
reason the exact spelling of a phrase matters: it decides whether the phrase is held out.

No entry names a person, a company or a real document.
"""

from __future__ import annotations

# Medical: specialty -> complaints that belong to it.
COMPLAINTS: dict[str, tuple[str, ...]] = {
    "cardiology": (
        "chest pain", "palpitations", "irregular heartbeat", "high blood pressure", "swollen ankles",
        "tightness in the chest", "racing pulse", "fainting on exertion",
    ),
    "neurology": (
        "migraine", "numbness in one arm", "seizures", "slurred speech", "trembling hands", "memory lapses",
        "facial droop", "burning nerve pain",
    ),
    "dermatology": (
        "itchy rash", "changing mole", "eczema", "acne", "blisters on the skin", "hives", "peeling skin",
        "psoriasis",
    ),
    "orthopedics": (
        "knee pain", "broken wrist", "sprained ankle", "hip stiffness", "back injury",
        "dislocated shoulder", "torn ligament", "swollen elbow",
    ),
    "pulmonology": (
        "wheezing", "chronic cough", "shortness of breath", "asthma", "coughing up blood", "bronchitis",
        "noisy breathing", "sleep apnea",
    ),
    "gastroenterology": (
        "stomach cramps", "heartburn", "bloody stool", "vomiting", "bloating", "constipation",
        "acid reflux", "liver pain",
    ),
    "ophthalmology": (
        "blurred vision", "red eyes", "double vision", "flashes of light", "swollen eyelid", "dry eyes",
        "cataract", "loss of sight",
    ),
    "urology": (
        "kidney stones", "painful urination", "blood in the urine", "bladder infection",
        "frequent urination", "prostate trouble", "weak urine stream", "urine leakage",
    ),
}

# Medical: urgency -> wordings that imply it.
URGENCY_CUES: dict[str, tuple[str, ...]] = {
    "urgent": (
        "that began suddenly an hour ago", "getting worse by the minute", "after collapsing at work",
        "and cannot stand up", "with severe distress", "that woke the household at night",
    ),
    "soon": (
        "for three days now", "slowly growing since last week", "that returned on Monday",
        "and slept badly twice", "not helped by rest",
    ),
    "routine": (
        "on and off for two years", "stable since the last visit", "and asks for a regular check-up",
        "without any change", "in a mild form", "as known from earlier notes",
    ),
}

# {x} is the complaint, {c} the urgency cue.
MEDICAL_TEMPLATES: tuple[str, ...] = (
    "Patient {id} reports {x} {c}.", "A {age}-year-old patient came in with {x} {c}.",
    "The nurse noted {x} {c}.", "Caller {id} describes {x} {c}.", "Ward note {n}: {x} {c}.",
    "Intake form {id} mentions {x} {c}.", "The triage desk recorded {x} {c}.", "Home visit for {x} {c}.",
    "Seen today for {x} {c}.", "The family is worried about {x} {c}.",
    "The referral letter states {x} {c}.", "The ambulance crew observed {x} {c}.",
)

# Legal: clause -> wordings. The topic is in [brackets]; {q} is the other party.
CLAUSES: dict[str, tuple[str, ...]] = {
    "indemnity": (
        "shall hold the {q} harmless from [third-party claims]", "shall indemnify the {q} for all [losses]",
        "will make good any [damage] claimed against the {q}", "shall defend the {q} in any [lawsuit]",
        "shall reimburse the {q} for [court costs]", "takes over [injury claims] raised against the {q}",
    ),
    "confidentiality": (
        "shall keep [trade secrets] private", "must not disclose the [technical data]",
        "shall treat all [drawings] as secret", "may not share [price lists] with outsiders",
        "shall guard the [source code] from disclosure", "keeps the [recipe book] under lock",
    ),
    "termination": (
        "may end this agreement with [sixty days notice]", "may cancel the contract upon [breach]",
        "may withdraw at the end of a [quarter]", "can dissolve the deal after [insolvency]",
        "may step out if the [deadline] is missed", "ends the relation by [registered letter]",
    ),
    "payment": (
        "shall pay each [invoice] within thirty days", "owes [late interest] of two percent",
        "shall wire the [first instalment] on signing", "settles the [balance] every month",
        "shall remit the [purchase price] in advance", "pays the [retainer] before work starts",
    ),
    "liability": (
        "is liable only up to the [annual fee]", "does not answer for [lost profit]",
        "is not responsible for [indirect harm]", "limits its exposure to the [order value]",
        "answers solely for [gross negligence]", "caps any duty at the [insured sum]",
    ),
    "force majeure": (
        "is excused during [floods]", "is not in default because of [earthquakes]",
        "may suspend duties during [strikes]", "is released while [war] persists",
        "may delay delivery during an [epidemic]", "is freed from duties by a [storm]",
    ),
    "governing law": (
        "submits to the [courts of the seat]", "accepts the [law of the province]",
        "agrees to [arbitration] in the capital", "waives any [foreign forum]",
        "brings disputes before the [trade tribunal]", "follows the [civil code] for any dispute",
    ),
    "assignment": (
        "may not transfer this [contract] to others", "may cede its [receivables] to a bank",
        "shall not hand over [rights] without consent", "may pass its [position] to an affiliate",
        "cannot sell the [claim] to a third person", "needs approval to move the [licence] to an heir",
    ),
    "warranty": (
        "guarantees that the [goods] are free of defects", "warrants that the [machine] works as described",
        "vouches for the [title] to the property", "promises [repairs] during two years",
        "assures that the [software] has no virus", "guarantees the [purity] of the batch",
    ),
    "non-compete": (
        "shall not open a [rival shop] nearby", "must not solicit [former clients]",
        "may not hire [key staff] away", "shall not work for a [competitor]",
        "refrains from selling [similar products]", "stays out of the [same market] for a year",
    ),
}

# Legal: who a clause is about.
PARTIES: tuple[str, ...] = (
    "supplier", "customer", "tenant", "licensee", "contractor", "buyer", "seller", "distributor",
)

# {p} is the party, {x} the clause wording.
LEGAL_TEMPLATES: tuple[str, ...] = (
    "The {p} {x}.", "Section {n}: the {p} {x}.", "Under article {n}, the {p} {x}.",
    "It is agreed that the {p} {x}.", "During the whole term, the {p} {x}.",
    "Subject to annex {n}, the {p} {x}.", "Draft {id} says the {p} {x}.",
    "According to the deed, the {p} {x}.", "Both sides confirm that the {p} {x}.",
    "As amended, the {p} {x}.",
)

# Finance: account -> items booked under it.
BOOKING_ITEMS: dict[str, tuple[str, ...]] = {
    "travel": (
        "train ticket", "hotel room", "taxi ride", "flight to the fair", "rental car", "airport parking",
        "ferry crossing",
    ),
    "office": (
        "printer toner", "desk lamp", "paper reams", "filing cabinet", "whiteboard", "office chair",
        "envelopes",
    ),
    "software": (
        "database licence", "cloud subscription", "antivirus renewal", "design app", "code hosting plan",
        "backup service", "payroll program",
    ),
    "meals": (
        "team lunch", "client dinner", "coffee beans", "conference catering", "sandwich platter",
        "holiday banquet", "fruit basket",
    ),
    "utilities": (
        "electricity bill", "water bill", "gas meter", "internet line", "waste collection", "heating oil",
        "street cleaning",
    ),
    "rent": (
        "warehouse lease", "storage unit", "shop floor", "parking lot", "market stall", "garage space",
        "meeting hall",
    ),
    "insurance": (
        "fire cover", "fleet policy", "theft cover", "health plan", "freight cover", "hail policy",
        "dental plan",
    ),
    "training": (
        "language course", "safety seminar", "welding class", "online workshop", "first aid course",
        "sales coaching", "exam fee",
    ),
    "marketing": (
        "radio spot", "flyer print", "trade fair booth", "web banner", "newspaper advert", "brand video",
        "sample boxes",
    ),
    "repairs": (
        "roof repair", "boiler service", "window pane", "forklift tyres", "lift inspection", "pump seal",
        "door lock",
    ),
}

# Finance: direction of the money -> templates. {x} is the item, {amt} the amount.
BOOKING_TEMPLATES: dict[str, tuple[str, ...]] = {
    "expense": (
        "Paid {amt} EUR for the {x}.", "Card charge of {amt} EUR for the {x}.",
        "Invoice {id} over {amt} EUR covers the {x}.", "Petty cash: {amt} EUR spent on the {x}.",
        "We bought the {x} at {amt} EUR.", "Bank debit {amt} EUR, {x}.",
    ),
    "refund": (
        "Credit note {id}: {amt} EUR back for the {x}.", "Received {amt} EUR for the cancelled {x}.",
        "The vendor returned {amt} EUR on the {x}.", "Overpaid {x}, {amt} EUR repaid to us.",
        "Reversal of {amt} EUR for the {x}.", "Money back: {amt} EUR, {x}.",
    ),
}

# General: thing -> what happened to it. No adapter has a label for these.
OFFICE_EVENTS: dict[str, tuple[str, ...]] = {
    "printer": ("is out of paper", "shows a blinking light"),
    "meeting room": ("is booked until noon", "needs a new screen"),
    "coffee machine": ("leaks water", "was cleaned"),
    "elevator": ("stops between floors", "was checked"),
    "front door": ("does not close", "was painted"),
    "newsletter": ("goes out on Friday", "has a typo"),
    "delivery van": ("is parked outside", "left at noon"),
    "garden": ("was watered", "needs new plants"),
    "calendar": ("was updated", "shows a holiday"),
    "laptop": ("restarts at random", "has a new battery"),
    "projector": ("hums loudly", "was moved upstairs"),
    "key box": ("is locked", "was found"),
    "bicycle rack": ("is full", "was moved"),
    "parcel": ("waits at reception", "arrived open"),
    "lost umbrella": ("is at reception", "was picked up"),
    "fire drill": ("is on Tuesday", "went well"),
    "photo wall": ("has new pictures", "fell down"),
    "kitchen sink": ("drips", "was fixed"),
    "server room": ("is too warm", "was swept"),
    "guest list": ("is complete", "misses two names"),
    "radio studio": ("is free", "was booked"),
    "bus schedule": ("has changed", "is posted"),
    "notice board": ("is empty", "was moved"),
    "choir practice": ("starts at six", "was moved"),
}

# {x} is the thing, {c} what happened to it.
GENERAL_TEMPLATES: tuple[str, ...] = (
    "The {x} on floor {n} {c}.", "Just so you know, the {x} {c}.", "Ticket {id}: the {x} {c}.",
    "Today the {x} {c}.", "Reminder, the {x} {c}.", "Somebody said the {x} {c}.",
    "For the record, the {x} {c}.", "The {x} {c}.",
)
