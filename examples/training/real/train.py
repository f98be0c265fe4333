"""Trains adapters of SmolLM2-135M-Instruct with PEFT and saves them as PEFT does.

    python3 train.py MODEL.gguf OUT NAME... [--epochs N] [--steps N]

NAME is a domain of texts.py or a rewriting of messages.py; its adapter is saved to OUT/NAME. The base is the GGUF file with
its weights dequantized, so that the adapter is trained on what llama.cpp computes with. The loss of a domain compares its
labels alone, that of a rewriting all tokens of the answer.
"""

import argparse
import json
import math
import pathlib
import random
import time

import peft
import torch
import transformers

import messages
import texts

SYSTEM = "Answer with one word."
REWRITE = "Rewrite the text."
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
BATCH = 8
# Batches whose examples are sorted by length, so that little is padded.
BUCKET = 16
RATE = 2e-3
WARMUP = 0.1
LAYERS = 30
ADAPTED = 7


def chat(system, user):
    """The prompt as SmolLM2's own template writes it."""
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


def domains():
    lines = (texts.DATA / "domains.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["domain"]: line for line in map(json.loads, lines)}


def examples(name):
    """The training examples, as pairs of a prompt and an answer."""
    if name in messages.NAMES:
        return [(chat(REWRITE, text), rewriting) for text, rewriting in messages.split(name)[0]]
    question = domains()[name]["question"]
    return [(chat(SYSTEM, f"{question}\n{text}"), label) for text, label in texts.split(name)[0]]


def load(model_file, kept):
    """The tokenizer and the dequantized model in bfloat16, which is kept, because dequantizing takes a minute."""
    if kept.is_dir():
        model = transformers.AutoModelForCausalLM.from_pretrained(kept, torch_dtype=torch.bfloat16)
        return transformers.AutoTokenizer.from_pretrained(kept), model
    folder, name = str(model_file.parent), model_file.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    if tokenizer("<|im_start|>", add_special_tokens=False).input_ids != [1]:
        raise SystemExit(f"{model_file} does not know <|im_start|> as a control token: is it SmolLM2-135M-Instruct?")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, torch_dtype=torch.float32)
    model = model.to(torch.bfloat16)
    tokenizer.save_pretrained(kept)
    model.save_pretrained(kept)
    return tokenizer, model


def adapted(model):
    """LoRA on all products of the upper layers. What the layers below compute is always the same."""
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        layers_to_transform=list(range(LAYERS - ADAPTED, LAYERS)),
    )
    adapter = peft.get_peft_model(model, config)
    adapter.peft_config["default"].base_model_name_or_path = BASE
    return adapter


def encode(tokenizer, pairs):
    """Token ids of prompt and answer, and the length of the prompt."""
    encoded = []
    for prompt, answer in pairs:
        start = tokenizer(prompt, add_special_tokens=False).input_ids
        end = tokenizer(answer + "<|im_end|>", add_special_tokens=False).input_ids
        encoded.append((start + end, len(start)))
    return encoded


def rows_of(batch):
    """The token ids of a batch, padded at the end, where no token before it sees the padding."""
    longest = max(len(tokens) for tokens, _ in batch)
    return torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens, _ in batch])


def run_layers(decoder, layers, states):
    positions = torch.arange(states.shape[1])[None]
    embeddings = decoder.rotary_emb(states, positions)
    for layer in layers:
        found = layer(states, attention_mask=None, position_ids=positions, position_embeddings=embeddings)
        states = found[0] if isinstance(found, tuple) else found
    return states


@torch.no_grad()
def lower_states(decoder, batch):
    """What the layers without an adapter compute, for all epochs."""
    return run_layers(decoder, decoder.layers[: LAYERS - ADAPTED], decoder.embed_tokens(rows_of(batch)))


def upper_states(decoder, states):
    return decoder.norm(run_layers(decoder, decoder.layers[LAYERS - ADAPTED :], states))


def batches(encoded, chance):
    """All examples once, in random order but beside others of their length."""
    order = encoded[:]
    chance.shuffle(order)
    found = []
    for start in range(0, len(order), BATCH * BUCKET):
        bucket = sorted(order[start : start + BATCH * BUCKET], key=lambda example: len(example[0]))
        found += [bucket[at : at + BATCH] for at in range(0, len(bucket), BATCH)]
    chance.shuffle(found)
    return found


def label_loss(head, states, batch, labels):
    """The loss of a label among the labels, by their first tokens: a grammar lets nothing else through."""
    last = torch.tensor([start - 1 for _, start in batch])
    logits = head(states[torch.arange(len(batch)), last])[:, torch.tensor(labels)]
    return torch.nn.functional.cross_entropy(
        logits.float(), torch.tensor([labels.index(tokens[start]) for tokens, start in batch]))


def answer_loss(head, states, batch):
    """The loss of the answers; the logits of other tokens are not computed."""
    rows = [(row, at) for row, (tokens, start) in enumerate(batch) for at in range(start, len(tokens))]
    before = torch.tensor([row for row, _ in rows]), torch.tensor([at - 1 for _, at in rows])
    return torch.nn.functional.cross_entropy(
        head(states[before]).float(), torch.tensor([batch[row][0][at] for row, at in rows]))


def rate(step, steps):
    """Linear warm-up, then a cosine to zero."""
    warmup = max(1, int(WARMUP * steps))
    return (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def train(adapter, encoded, labelled, epochs, most_steps):
    chance = random.Random(texts.SEED)
    decoder, head = adapter.base_model.model.model, adapter.base_model.model.lm_head
    labels = sorted({tokens[start] for tokens, start in encoded})
    start = time.process_time()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        known = [(batch, lower_states(decoder, batch)) for batch in batches(encoded, chance)]
    print(f"the layers below: {time.process_time() - start:.0f} s of CPU time", flush=True)
    plan = []
    for _ in range(epochs):
        chance.shuffle(known)
        plan += known
    plan = plan[:most_steps]
    weights = [weight for weight in adapter.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    losses = []
    for step, (batch, below) in enumerate(plan):
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate(step, len(plan))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = upper_states(decoder, below)
            loss = label_loss(head, states, batch, labels) if labelled else answer_loss(head, states, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 10 == 9 or step + 1 == len(plan):
            recent = sum(losses[-10:]) / len(losses[-10:])
            seconds = time.process_time() - start
            print(f"step {step + 1} of {len(plan)}, loss {recent:.3f}, {seconds:.0f} s of CPU time", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="SmolLM2-135M-Instruct as GGUF")
    parser.add_argument("out", type=pathlib.Path, help="the folder for the adapters, as PEFT saves them")
    parser.add_argument("name", nargs="+", choices=[*texts.DOMAINS, *messages.NAMES])
    parser.add_argument("--epochs", type=int, help="by default 3, and 2 for german")
    parser.add_argument("--steps", type=int, default=1_000_000, help="the most steps, to try the script")
    arguments = parser.parse_args()

    tokenizer, model = load(arguments.model, arguments.out / "base")
    for name in arguments.name:
        torch.manual_seed(texts.SEED)
        training = examples(name)
        adapter = adapted(model)
        print(f"{name}: {len(training)} examples", flush=True)
        labelled = name in texts.DOMAINS
        epochs = arguments.epochs or (2 if name == "german" else 3)
        train(adapter, encode(tokenizer, training), labelled, epochs, arguments.steps)
        adapter.save_pretrained(arguments.out / name)
        model = adapter.unload()
        del model.peft_config


if __name__ == "__main__":
    main()
