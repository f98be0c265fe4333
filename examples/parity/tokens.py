"""Writes the tokens of 200 varied texts to expected/MODEL.tokens.json.gz: python tokens.py [MODEL...]"""

import random

from models import HERE, find_file, load_tokenizer, named_on_command_line
from oracle import write_json
from prompts import CHATS, CONTINUED, FRAMED, LONG

TEXTS = 200
FRAGMENTS = [
    "the quick brown fox", "It's", "they'LL", "don't", " I'd've", "Hello,world!", "ALL CAPS", "camelCase", "snake_case_name",
    "3.14159", "1,234,567", "2024-02-30T25:61", "007", "v1.2.3-rc4", "0xDEADBEEF", "½", "x²+y²", "№ 5", "١٢٣", "一二三",
    "naïve café", "Straße", "ÄÖÜ", "smørrebrød", "Zażółć gęślą jaźń", "Привет, мир", "Γειά σου", "שלום", "مرحبا بالعالم", "नमस्ते",
    "สวัสดี", "你好，世界", "こんにちは", "안녕하세요", "👍", "👩‍👩‍👧‍👦", "🇫🇷", "e\u0301", "\u00a0", "\u200b", "\u2028", "“quoted”", "—", "…",
    "\n", "\n\n", "\n\n\n\n\n", "\r\n", "\t", "\t\t\t", " ", "  ", "        ", "    return x", "for (int i = 0; i < n; i++) {", "};",
    "<div class=\"a\">", "</p>", "SELECT * FROM t WHERE a <> 'b';", "https://example.org/a?b=c&d=%20", "me@example.org", "C:\\dir\\file",
    "$99.90", "100%", "#hashtag", "@name", "*bold*", "`code`", "[link](x)", "{\"a\": [1, 2, null]}", "!!!", "???", "...", "-----", "====",
    "a", "aaaaaaaaaaaaaaaaaaaa", "zzz", "\x07", "\u007f", "\ufffd", "𝔘𝔫𝔦", "ﬁ", "Ⅳ", "ａｂｃ", "ß", "İ", "ı",
]


def texts():
    choice = random.Random(13)
    chosen = FRAGMENTS + CHATS + CONTINUED + FRAMED + [LONG]
    while len(chosen) < TEXTS:
        glue = choice.choice(["", " ", " ", "\n"])
        chosen.append(glue.join(choice.choices(FRAGMENTS, k=choice.randint(2, 12))))
    return chosen


if __name__ == "__main__":
    for model_name in named_on_command_line():
        tokenizer = load_tokenizer(find_file(model_name))
        rows = [{"text": text, "tokens": tokenizer.encode(text)} for text in texts()]
        write_json(HERE / "expected" / f"{model_name}.tokens.json.gz", rows)
