"""Accuracy of the base, of each adapter and of their stack on the held-out texts of every domain, with PEFT.

    python3 evaluate.py MODEL.gguf ADAPTERS [NAME...]

A text gets the label whose first token is the likeliest of its domain's labels, as under a grammar.
"""

import argparse
import pathlib

import peft
import torch

import texts
import train


@torch.no_grad()
def accuracy(adapter, known, labels):
    """The share of right labels; known has batches with the states below the adapters."""
    decoder, head = adapter.base_model.model.model, adapter.base_model.model.lm_head
    right = total = 0
    for batch, below in known:
        states = train.upper_states(decoder, below)
        last = torch.tensor([start - 1 for _, start in batch])
        logits = head(states[torch.arange(len(batch)), last])[:, torch.tensor(labels)]
        found = [labels[choice] for choice in logits.argmax(dim=1).tolist()]
        right += sum(choice == tokens[start] for choice, (tokens, start) in zip(found, batch))
        total += len(batch)
    return right / total


def held_out(decoder, tokenizer, domain):
    """Batches of the held-out texts with the states below the adapters, and the first tokens of the labels."""
    question = train.domains()[domain]["question"]
    pairs = [(train.chat(train.SYSTEM, f"{question}\n{text}"), label) for text, label in texts.split(domain)[1]]
    encoded = sorted(train.encode(tokenizer, pairs), key=lambda example: len(example[0]))
    batches = [encoded[at : at + train.BATCH] for at in range(0, len(encoded), train.BATCH)]
    return [(batch, train.lower_states(decoder, batch)) for batch in batches], sorted({t[start] for t, start in encoded})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("adapters", type=pathlib.Path)
    parser.add_argument("name", nargs="*", default=list(texts.DOMAINS))
    arguments = parser.parse_args()
    tokenizer, model = train.load(arguments.model, arguments.adapters / "base")
    names = arguments.name
    adapter = peft.PeftModel.from_pretrained(model, arguments.adapters / names[0], adapter_name=names[0])
    for name in names[1:]:
        adapter.load_adapter(arguments.adapters / name, adapter_name=name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for domain in texts.DOMAINS:
            known, labels = held_out(adapter.base_model.model.model, tokenizer, domain)
            with adapter.disable_adapter():
                print(f"{domain}: base {accuracy(adapter, known, labels):.3f}", flush=True)
            for name in names:
                adapter.set_adapter(name)
                print(f"{domain}: {name} {accuracy(adapter, known, labels):.3f}", flush=True)
            adapter.base_model.set_adapter(names)
            print(f"{domain}: {'+'.join(names)} {accuracy(adapter, known, labels):.3f}", flush=True)


if __name__ == "__main__":
    main()
