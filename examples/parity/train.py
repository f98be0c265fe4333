"""
Trains the two trained adapters of a model, in a few minutes on one core: python train.py [MODEL...]
They answer notes in the frame of prompts.py: 'triage' with a department and an urgency, 'formal' in a formal sentence. Their
texts are those of examples/models/golden.jsonl. They only need to be adapters that a training made; nobody measures how
well they answer.
"""

import json
import random

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from adapters import MODULES, trained_folder
from models import HERE, find_file, load_model, load_tokenizer, named_on_command_line

STEPS = 60
BATCH = 4
IGNORED = -100
BASES = {"smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct", "gemma3-270m": "google/gemma-3-270m"}
CONFIGS = {
    "triage": {"r": 2, "lora_alpha": 8, "target_modules": MODULES},
    "formal": {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"], "use_rslora": True},
}
ANSWERS = {"triage": "medical", "formal": "formal"}


def examples(adapter):
    rows = [json.loads(line) for line in open(HERE.parent / "models" / "golden.jsonl")]
    return [(row["prompt"], row["expected"][ANSWERS[adapter]]) for row in rows
            if adapter == "formal" or row["set"].startswith("medical")]


def batch_of(chosen, tokenizer):
    end = min(tokenizer.ends)
    rows = []
    for prompt, answer in chosen:
        tokens = tokenizer.encode(prompt)
        whole = tokenizer.encode(prompt + answer) + [end]
        rows.append((whole, [IGNORED] * len(tokens) + whole[len(tokens):]))
    width = max(len(tokens) for tokens, _ in rows)
    tokens = torch.tensor([row + [0] * (width - len(row)) for row, _ in rows])
    targets = torch.tensor([row + [IGNORED] * (width - len(row)) for _, row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows])
    return tokens, targets, mask


def train(name, adapter):
    torch.manual_seed(7)
    choice = random.Random(7)
    file = find_file(name)
    tokenizer = load_tokenizer(file)
    base = load_model(file)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **CONFIGS[adapter]))
    model.train()
    rows = examples(adapter)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=3e-3)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 10) * (1 - step / STEPS)
        tokens, targets, mask = batch_of(choice.sample(rows, BATCH), tokenizer)
        hidden = base.model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
        wanted = targets[:, 1:] != IGNORED
        loss = torch.nn.functional.cross_entropy(base.lm_head(hidden[wanted]), targets[:, 1:][wanted])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 9:
            print(f"{name} {adapter}: step {step + 1}, loss {loss.item():.3f}", flush=True)
    save(model, name, adapter)


def save(model, name, adapter):
    folder = trained_folder(name, adapter)
    model.peft_config["default"].base_model_name_or_path = BASES[name]
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # an empty form
    weights = folder / "adapter_model.safetensors"
    save_file({key: value.half().contiguous() for key, value in load_file(weights).items()}, weights, {"format": "pt"})


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model_name in named_on_command_line():
        for adapter_name in CONFIGS:
            train(model_name, adapter_name)
