"""Ten prompts for each model: continuations, the frame that the trained adapters know, chats, and texts longer than a sliding window."""


def log_book(days):
    """A long text without repeated lines."""
    goods = ["apples", "bicycle parts", "candles", "drums", "engine oil", "flour", "gloves"]
    return "".join(
        f"Day {day}: {day * 37 % 91 + 3} crates of {goods[day * 5 % 7]} came in at gate {day % 4 + 1}"
        f" and {day * 53 % 29 + 1} left for the harbour.\n"
        for day in range(1, days + 1)
    )


def frame(text):
    return f"### Text:\n{text}\n### Answer:\n"


CONTINUED = [
    "The lighthouse keeper climbed the stairs one last time and",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "Water boils at 100 degrees Celsius at sea level. On a high mountain, however,",
]
FRAMED = [
    frame("Seen today for knee pain for three days now."),
    frame("The family is worried about high blood pressure since last week."),
]
LONG = log_book(24) + "Summary of the log book:\n"

CHATS = [
    "What is the capital of France, and what is it known for?",
    "Write a polite e-mail that asks for a meeting on Tuesday at 3 p.m.",
    "List three reasons why bread rises.",
    "Is this review positive or negative? \"The battery died after two days, and nobody answers the phone.\"",
]

SMOLLM2 = CONTINUED + FRAMED + [LONG]
GEMMA3 = CONTINUED + FRAMED + [
    LONG,
    "Die Hauptstadt von Frankreich ist",
    "Q: What is 17 + 25?\nA: 42\n\nQ: What is 31 + 18?\nA:",
    "Once upon a time there was a small dragon who was afraid of fire. Every morning",
    "The three primary colours are",
]


def prompts(name, tokenizer):
    return SMOLLM2 + [tokenizer.chat(user) for user in CHATS] if name.startswith("smollm2") else GEMMA3
