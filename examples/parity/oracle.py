"""
Writes what transformers and peft answer to expected/MODEL.json.gz: python oracle.py [MODEL...]
For each of ten prompts, without an adapter, with each of four and with a stack of two, 50 greedy steps with the ten greatest
logits of each.
"""

import gzip
import json
import tempfile
from pathlib import Path

import peft
import torch
import transformers
from peft import PeftModel

from adapters import PAIRS, RANDOM, TRAINED, trained_folder, write_random
from models import HERE, find_file, load_model, load_tokenizer, named_on_command_line, sha256
from prompts import prompts

STEPS = 50
BEST = 10


@torch.inference_mode()
def greedy_steps(model, tokens):
    """Goes on after the end of an answer, so that every prompt gives as many steps."""
    steps = []
    cache = None
    given = torch.tensor([tokens])
    for _ in range(STEPS):
        output = model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        best = output.logits[0, -1].topk(BEST)
        steps.append({"tokens": best.indices.tolist(), "logits": [round(value, 4) for value in best.values.tolist()]})
        given = best.indices[:1].unsqueeze(0)
    return steps


def answer_text(steps, tokenizer):
    """Up to the end of the answer."""
    tokens = []
    for step in steps:
        if step["tokens"][0] in tokenizer.ends:
            break
        tokens.append(step["tokens"][0])
    return tokenizer.decode(tokens)


def load_adapters(name, base):
    with tempfile.TemporaryDirectory() as temporary:
        folders = {adapter: trained_folder(name, adapter) for adapter in TRAINED}
        folders = {adapter: folder for adapter, folder in folders.items() if folder.is_dir()}
        for adapter, rank in RANDOM.items():
            folders[adapter] = Path(temporary) / adapter
            write_random(base, rank, folders[adapter])
        model = None
        for adapter, folder in folders.items():
            if model is None:
                model = PeftModel.from_pretrained(base, str(folder), adapter_name=adapter)
            else:
                model.load_adapter(str(folder), adapter_name=adapter)
        return model.eval(), list(folders)


def write(name):
    file = find_file(name)
    tokenizer = load_tokenizer(file)
    texts = prompts(name, tokenizer)
    tokens = [tokenizer.encode(text) for text in texts]
    model, adapters = load_adapters(name, load_model(file))
    answers = []
    for stack in [""] + adapters + [PAIRS[name]]:
        for prompt, given in enumerate(tokens):
            if stack:
                model.base_model.set_adapter(stack.split("+"))
                steps = greedy_steps(model, given)
            else:
                with model.disable_adapter():
                    steps = greedy_steps(model, given)
            answers.append({"stack": stack, "prompt": prompt, "text": answer_text(steps, tokenizer), "steps": steps})
            print(name, answers[-1]["stack"] or "(base)", prompt, repr(answers[-1]["text"][:60]), flush=True)
    content = {
        "model": name,
        "sha256": sha256(file),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__},
        "prompts": [{"text": text, "tokens": given} for text, given in zip(texts, tokens)],
        "answers": answers,
    }
    write_json(HERE / "expected" / f"{name}.json.gz", content)


def write_json(path, content):
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model_name in named_on_command_line():
        write(model_name)
