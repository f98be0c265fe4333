#!/usr/bin/env python3
"""Says what llama.cpp's convert_lora_to_gguf.py and PEFT make of small random adapters.

Usage: converter.py LLAMA_CPP_DIR OUT.json

For each case, a model of random weights gets an adapter of PEFT whose weights follow from a seed. PEFT saves it,
llama.cpp's converter converts it, and the output lists what a test needs to repeat the folder without Python, with
the digest of every converted tensor. The test is UpstreamTensorsTest in native/peft.

Needs torch, transformers, peft and safetensors; runs in about two minutes on one core.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

SHAPE = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=64)
SEPARATE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ATTENTION = SEPARATE[:4]
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

# The form that Unsloth gives to target_modules for models that it loads as multimodal ones.
UNSLOTH_TARGETS = (
    r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)"
    r".*?(?:q_proj|k_proj|v_proj|down_proj).*?)"
    r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)"
    r"\.(?:(?:q_proj|k_proj|v_proj|down_proj)))"
)


def case(name, model, targets, *, lora=None, types=("F32",), outtype="f16", added=None, config=None, **shape):
    """added: keys that other tools than PEFT write into adapter_config.json."""
    return dict(name=name, model=model, targets=targets, lora=lora or {}, types=types, outtype=outtype,
                added=added or {}, added_config=config or {}, shape=shape)


CASES = [
    case("llama", "LlamaForCausalLM", SEPARATE),
    case("llama in F32", "LlamaForCausalLM", SEPARATE, outtype="f32"),
    case("llama from F16", "LlamaForCausalLM", SEPARATE, types=("F16",)),
    case("llama from BF16", "LlamaForCausalLM", SEPARATE, types=("BF16",)),
    case("llama from mixed types", "LlamaForCausalLM", SEPARATE, types=("F32", "BF16", "F16"), outtype="f32"),
    case("llama with one key head for all", "LlamaForCausalLM", ATTENTION, num_key_value_heads=1),
    case("llama with wide heads", "LlamaForCausalLM", ATTENTION, head_dim=32),
    case("llama with ranks by pattern", "LlamaForCausalLM", SEPARATE,
         lora=dict(rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 6})),
    case("llama with alphas by pattern", "LlamaForCausalLM", SEPARATE,
         lora=dict(alpha_pattern={"v_proj": 24, "^model.layers.0.self_attn.q_proj": 2})),
    case("llama with both patterns", "LlamaForCausalLM", SEPARATE,
         lora=dict(rank_pattern={"k_proj": 8}, alpha_pattern={"k_proj": 3, "up_proj": 1})),
    case("llama with rsLoRA", "LlamaForCausalLM", SEPARATE, lora=dict(use_rslora=True)),
    case("llama with rsLoRA and both patterns", "LlamaForCausalLM", SEPARATE,
         lora=dict(use_rslora=True, rank_pattern={"k_proj": 9}, alpha_pattern={"o_proj": 5})),
    case("llama in one layer", "LlamaForCausalLM", ["q_proj", "down_proj"], lora=dict(layers_to_transform=[1])),
    case("llama of Unsloth", "LlamaForCausalLM", SEPARATE, types=("BF16",),
         added=dict(base_model_name_or_path="unsloth/llama-3.2-1b-instruct-bnb-4bit", revision="unsloth", task_type="CAUSAL_LM",
                    auto_mapping=dict(base_model_class="LlamaForCausalLM", unsloth_fixed=True,
                                      parent_library="transformers.models.llama.modeling_llama"))),
    case("SmolLM2-135M", "LlamaForCausalLM", SEPARATE, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
         num_attention_heads=9, num_key_value_heads=3, lora=dict(layers_to_transform=[0, 14, 29])),
    case("mistral", "MistralForCausalLM", SEPARATE, head_dim=32),
    case("qwen2", "Qwen2ForCausalLM", SEPARATE),
    case("qwen3", "Qwen3ForCausalLM", SEPARATE, head_dim=32),
    case("qwen3moe", "Qwen3MoeForCausalLM", ATTENTION, head_dim=32,
         config=dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32)),
    case("gemma", "GemmaForCausalLM", SEPARATE, head_dim=32),
    case("gemma2", "Gemma2ForCausalLM", SEPARATE, head_dim=32),
    case("gemma3", "Gemma3ForCausalLM", SEPARATE, head_dim=32, types=("BF16",)),
    case("gemma3 of Unsloth", "Gemma3ForCausalLM", UNSLOTH_TARGETS, head_dim=32, types=("BF16",),
         added=dict(base_model_name_or_path="unsloth/gemma-3-270m-it-unsloth-bnb-4bit",
                    auto_mapping=dict(base_model_class="Gemma3ForCausalLM", unsloth_fixed=True,
                                      parent_library="transformers.models.gemma3.modeling_gemma3"))),
    case("gemma3 that sees images", "Gemma3ForConditionalGeneration", r".*language_model.*\.(?:q_proj|o_proj|up_proj)",
         head_dim=32,
         config=dict(vision_config=dict(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                                        image_size=28, patch_size=14), mm_tokens_per_image=4)),
    case("phi3", "Phi3ForCausalLM", FUSED),
    case("granite", "GraniteForCausalLM", SEPARATE),
    case("smollm3", "SmolLM3ForCausalLM", SEPARATE),
]


def random_floats(seed, count):
    """Java's SplittableRandom: the upper 24 bits of each number, spread from -0.25 to 0.25."""
    mask = (1 << 64) - 1
    floats = []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        mixed = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        mixed ^= mixed >> 31
        floats.append(((mixed >> 40) - (1 << 23)) / (1 << 25))
    return floats


def build_model(one):
    model_class = getattr(transformers, one["model"])
    text = {**SHAPE, "pad_token_id": 0, **one["shape"]}
    if "vision_config" in one["added_config"]:
        config = model_class.config_class(text_config=text, **one["added_config"])
    else:
        config = model_class.config_class(**text, **one["added_config"])
    config.architectures = [one["model"]]
    return model_class(config)


def save_peft(one, folder):
    """Saves the adapter; returns the configuration of its base, its tensors, and PEFT's scale of each module."""
    model = build_model(one)
    config = LoraConfig(r=4, lora_alpha=12, target_modules=one["targets"], **one["lora"])
    adapted = get_peft_model(model, config)
    adapted.save_pretrained(folder)
    weights = folder / "adapter_model.safetensors"
    saved = load_file(weights)
    tensors = {}
    for place, name in enumerate(sorted(saved)):
        kind = one["types"][place % len(one["types"])]
        values = torch.tensor(random_floats(place, saved[name].numel()), dtype=torch.float32)
        saved[name] = values.reshape(saved[name].shape).to(TYPES[kind])
        tensors[name] = f"{kind} {saved[name].shape[0]}x{saved[name].shape[1]}"
    save_file(saved, weights)
    path = folder / "adapter_config.json"
    settings = {**json.loads(path.read_text()), **one["added"]}
    if isinstance(settings["target_modules"], list):
        settings["target_modules"].sort()  # PEFT writes a set
    path.write_text(json.dumps(settings))
    scales = {
        name.removeprefix("base_model.model."): module.scaling["default"]
        for name, module in adapted.named_modules()
        if isinstance(getattr(module, "scaling", None), dict)
    }
    return model.config, tensors, scales


def shape_of(config):
    """The part of a configuration that describes the matrices."""
    kept = {key: config[key] for key in ("model_type", "head_dim", *SHAPE) if key in config}
    return kept | ({"text_config": shape_of(config["text_config"])} if "text_config" in config else {})


def convert(llama_cpp, base, adapter, outtype, out):
    done = subprocess.run(
        [sys.executable, str(llama_cpp / "convert_lora_to_gguf.py"), "--base", str(base), "--outtype", outtype,
         "--outfile", str(out), str(adapter)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)


def read_gguf(llama_cpp, path):
    sys.path.insert(0, str(llama_cpp / "gguf-py"))
    import gguf

    reader = gguf.GGUFReader(path)
    tensors = {}
    for tensor in reader.tensors:
        dimensions = "x".join(str(length) for length in tensor.shape)
        digest = hashlib.sha256(tensor.data.tobytes()).hexdigest()[:16]
        tensors[tensor.name] = f"{tensor.tensor_type.name} {dimensions} {digest}"
    architecture = reader.get_field("general.architecture").contents()
    alpha = float(reader.get_field("adapter.lora.alpha").contents())
    return dict(architecture=architecture, alpha=alpha, tensors=tensors)


def run(one, llama_cpp):
    with tempfile.TemporaryDirectory() as work:
        base, adapter, out = Path(work, "base"), Path(work, "adapter"), Path(work, "adapter.gguf")
        config, tensors, scales = save_peft(one, adapter)
        config.save_pretrained(base)
        convert(llama_cpp, base, adapter, one["outtype"], out)
        return dict(
            name=one["name"],
            outtype=one["outtype"],
            base=shape_of(json.loads((base / "config.json").read_text())),
            adapter=json.loads((adapter / "adapter_config.json").read_text()),
            tensors=tensors,
            scales=scales,
            upstream=read_gguf(llama_cpp, out))



def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    llama_cpp = Path(sys.argv[1])
    results = []
    for one in CASES:
        print(one["name"], file=sys.stderr, flush=True)
        results.append(run(one, llama_cpp))
    Path(sys.argv[2]).write_text("[\n" + ",\n".join(json.dumps(result) for result in results) + "\n]\n")


if __name__ == "__main__":
    main()
