"""Writes trained checkpoints in the formats that others read.

* GGUF: the base with Q8_0 matrices, each adapter with F16 matrices, as llama.cpp loads them.
* PEFT: one adapter as the folder that Hugging Face PEFT saves, in F32, to test a converter with.
* Hugging Face: the base's configuration, which such a converter needs for the number of heads.

Needs the Python package `gguf`; llama.cpp carries it in its folder `gguf-py`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import numpy
import sentencepiece
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from safetensors.torch import save_file
from torch import Tensor

from model import PROJECTIONS, Llama, LoraAdapter, ModelConfig, load_adapter, load_model
from tokenizer import BEGIN_ID, END_ID, UNKNOWN_ID

MODEL_NAME = "tiny-notes"

GGUF_PROJECTIONS = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}

HUGGING_FACE_PROJECTIONS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}


def write_base_gguf(model: Llama, tokenizer_model: Path, path: Path) -> None:
    writer = GGUFWriter(path, "llama")
    _add_architecture(writer, model.config)
    _add_tokenizer(writer, tokenizer_model)
    _add_quantized(writer, "token_embd.weight", model.embedding)  # also the output layer: the two are tied
    writer.add_tensor("output_norm.weight", _float32(model.norm.weight))
    for layer, block in enumerate(model.blocks):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", _float32(block.attention_norm.weight))
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", _float32(block.ffn_norm.weight))
        for projection in PROJECTIONS:
            name = f"blk.{layer}.{GGUF_PROJECTIONS[projection]}.weight"
            _add_quantized(writer, name, getattr(block, projection).weight)
    _finish(writer)


def write_adapter_gguf(adapter: LoraAdapter, config: ModelConfig, name: str, path: Path) -> None:
    writer = GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_name(name)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", adapter.alpha)
    for layer in range(config.layers):
        for projection in PROJECTIONS:
            a, b = adapter.matrices(layer, projection)
            tensor = f"blk.{layer}.{GGUF_PROJECTIONS[projection]}.weight"
            writer.add_tensor(f"{tensor}.lora_a", _float32(a).astype(numpy.float16))
            writer.add_tensor(f"{tensor}.lora_b", _float32(b).astype(numpy.float16))
    _finish(writer)


def write_adapter_peft(adapter: LoraAdapter, config: ModelConfig, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for layer in range(config.layers):
        for projection in PROJECTIONS:
            a, b = adapter.matrices(layer, projection)
            name = f"base_model.model.model.layers.{layer}.{HUGGING_FACE_PROJECTIONS[projection]}"
            tensors[f"{name}.lora_A.weight"] = a.detach().float().contiguous()
            tensors[f"{name}.lora_B.weight"] = _hugging_face_rows(b.detach().float(), projection, config)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    _write_json(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": MODEL_NAME,
            "r": adapter.rank,
            "lora_alpha": adapter.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "use_rslora": False,
            "use_dora": False,
            "modules_to_save": None,
            "inference_mode": True,
            "target_modules": sorted(name.split(".")[-1] for name in HUGGING_FACE_PROJECTIONS.values()),
        },
    )


def write_hugging_face_config(config: ModelConfig, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(
        folder / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": config.width,
            "intermediate_size": config.ffn_width,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "num_key_value_heads": config.kv_heads,
            "head_dim": config.head_width,
            "vocab_size": config.vocabulary_size,
            "max_position_embeddings": config.context_size,
            "rms_norm_eps": config.norm_epsilon,
            "rope_theta": config.rope_base,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": BEGIN_ID,
            "eos_token_id": END_ID,
            "torch_dtype": "float16",
        },
    )


def _hugging_face_rows(rows: Tensor, projection: str, config: ModelConfig) -> Tensor:
    """Rotary pairs are adjacent rows here; Hugging Face keeps them half a head apart (queries and keys only)."""
    if projection not in ("q", "k"):
        return rows.contiguous()
    heads = config.heads if projection == "q" else config.kv_heads
    pairs = rows.unflatten(0, (heads, config.head_width // 2, 2))
    return pairs.transpose(1, 2).reshape(rows.shape).contiguous()


def _add_architecture(writer: GGUFWriter, config: ModelConfig) -> None:
    writer.add_name(MODEL_NAME)
    writer.add_context_length(config.context_size)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn_width)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_vocab_size(config.vocabulary_size)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)


def _add_tokenizer(writer: GGUFWriter, tokenizer_model: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_model))
    ids = range(pieces.get_piece_size())
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([pieces.id_to_piece(token).encode() for token in ids])
    writer.add_token_scores([pieces.get_score(token) for token in ids])
    writer.add_token_types([_token_type(pieces, token) for token in ids])
    writer.add_bos_token_id(BEGIN_ID)
    writer.add_eos_token_id(END_ID)
    writer.add_unk_token_id(UNKNOWN_ID)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _token_type(pieces: sentencepiece.SentencePieceProcessor, token: int) -> TokenType:
    if pieces.is_unknown(token):
        return TokenType.UNKNOWN
    if pieces.is_control(token):
        return TokenType.CONTROL
    if pieces.is_byte(token):
        return TokenType.BYTE
    return TokenType.NORMAL


def _add_quantized(writer: GGUFWriter, name: str, weight: Tensor) -> None:
    quantized = gguf.quants.quantize(_float32(weight), GGMLQuantizationType.Q8_0)
    writer.add_tensor(name, quantized, raw_dtype=GGMLQuantizationType.Q8_0)


def _float32(weight: Tensor) -> numpy.ndarray:
    return weight.detach().float().numpy()


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True, help="checkpoint of the base model")
    parser.add_argument("--adapters", type=Path, nargs="+", required=True, metavar="NAME.pt")
    parser.add_argument("--peft", default="medical", help="the adapter that is also written in the PEFT layout")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()

    base = load_model(arguments.base)
    (arguments.out / "adapters").mkdir(parents=True, exist_ok=True)
    write_base_gguf(base, arguments.tokenizer, arguments.out / f"{MODEL_NAME}-q8_0.gguf")
    write_hugging_face_config(base.config, arguments.out / "base-hf")
    for checkpoint in arguments.adapters:
        name = checkpoint.stem
        adapter = load_adapter(checkpoint, base.config)
        write_adapter_gguf(adapter, base.config, name, arguments.out / "adapters" / f"{name}.gguf")
        if name == arguments.peft:
            write_adapter_peft(adapter, base.config, arguments.out / f"{name}-peft")
    (arguments.out / "tokenizer.model").write_bytes(arguments.tokenizer.read_bytes())


if __name__ == "__main__":
    main()
