"""
Four adapters for each model as PEFT saves them: two of random weights, which RandomAdapter of the Java test draws too, and
two that train.py trained.
"""

import json
import zlib

import numpy as np
from safetensors.numpy import save_file

from models import HERE

RANDOM = {"random-8": 8, "random-16": 16}
TRAINED = ["triage", "formal"]
# The stack of each model that is compared too.
PAIRS = {"smollm2-135m-instruct": "random-8+triage", "gemma3-270m": "random-8+random-16"}
DEVIATION_A = 0.04
DEVIATION_B = 0.02
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def mix(states):
    """The output function of java.util.SplittableRandom, whose states are multiples of the golden ratio apart."""
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return states ^ (states >> np.uint64(31))


def draw(name, rank, shape, deviation):
    """The numbers of GgufTensorData.random for the seed CRC-32 of the tensor's name, plus the rank."""
    seed = np.uint64(zlib.crc32(name.encode()) + rank)
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        states = seed + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        doubles = (mix(states) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return ((doubles - 0.5) * (deviation * np.sqrt(12.0))).astype(np.float32).reshape(shape)


def write_random(model, rank, folder):
    tensors = {}
    for path, module in model.named_modules():
        if path.rpartition(".")[2] in MODULES:
            outputs, inputs = module.weight.shape
            name = f"base_model.model.{path}.lora_A.weight"
            tensors[name] = draw(name, rank, (rank, inputs), DEVIATION_A)
            name = f"base_model.model.{path}.lora_B.weight"
            tensors[name] = draw(name, rank, (outputs, rank), DEVIATION_B)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank, "target_modules": MODULES}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def trained_folder(model_name, adapter):
    return HERE / "adapters" / model_name / adapter
