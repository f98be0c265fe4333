"""The two models as transformers computes them: the GGUF file's weights, dequantized to F32, and its vocabulary."""

import hashlib
import subprocess
import sys
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).parent
NAMES = ["smollm2-135m-instruct", "gemma3-270m"]
CONTROL = 3
USER_DEFINED = 4


def find_file(name):
    """The file that examples/models/fetch leaves in the cache."""
    fetch = HERE.parent / "models" / "fetch"
    return Path(subprocess.run([fetch, name], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def sha256(file):
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def load_model(file):
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation="eager"
    )
    return model.eval()


class BytePairs:
    """
    SmolLM2: byte-level pairs, digits one by one. Built from the vocabulary and merges of the GGUF file, with the
    pre-tokenizer of the model's tokenizer.json, because the conversion in transformers does not split digits.
    """

    def __init__(self, fields):
        tokens = fields["tokenizer.ggml.tokens"].contents()
        merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
        types = fields["tokenizer.ggml.token_type"].contents()
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        controls = [AddedToken(token, special=True) for token, kind in zip(tokens, types) if kind == CONTROL]
        tokenizer.add_special_tokens(controls)
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
        self.tokenizer.chat_template = fields["tokenizer.chat_template"].contents()
        self.ends = {i for i, token in enumerate(tokens) if token in ("<|im_end|>", "<|endoftext|>")}

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def decode(self, tokens):
        return self.tokenizer.decode(tokens, skip_special_tokens=False)

    def chat(self, user):
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": user}], tokenize=False, add_generation_prompt=True
        )


class SentencePieces:
    """Gemma: a sentencepiece model rebuilt from the pieces, scores and types of the GGUF file. Every text begins with BOS."""

    def __init__(self, fields):
        from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

        proto = sentencepiece_model_pb2.ModelProto()
        proto.trainer_spec.model_type = 2  # BPE
        proto.trainer_spec.byte_fallback = True
        for name, value in {"unk_id": 3, "bos_id": 2, "eos_id": 1, "pad_id": 0}.items():
            setattr(proto.trainer_spec, name, value)
        for name, value in {"unk_piece": "<unk>", "bos_piece": "<bos>", "eos_piece": "<eos>", "pad_piece": "<pad>"}.items():
            setattr(proto.trainer_spec, name, value)
        proto.normalizer_spec.name = "identity"
        proto.normalizer_spec.add_dummy_prefix = False
        proto.normalizer_spec.remove_extra_whitespaces = False
        proto.normalizer_spec.escape_whitespaces = True
        rows = zip(*(fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "scores", "token_type")))
        for index, (token, score, kind) in enumerate(rows):
            if kind == USER_DEFINED:
                token = token.replace(" ", "▁")  # which llama.cpp's converter has undone
            proto.pieces.add(piece=token, score=score, type=2 if index == 3 else kind)  # the others have GGUF's numbers
        self.processor = SentencePieceProcessor(model_proto=proto.SerializeToString())
        self.ends = {1}

    def encode(self, text):
        return [2] + self.processor.encode(text)

    def decode(self, tokens):
        return self.processor.decode(tokens)


def load_tokenizer(file):
    fields = GGUFReader(file).fields
    return (BytePairs if fields["tokenizer.ggml.model"].contents() == "gpt2" else SentencePieces)(fields)


def named_on_command_line():
    names = sys.argv[1:] or NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        sys.exit(f"There are only the models {', '.join(NAMES)}, not {', '.join(sorted(unknown))}.")
    return names
