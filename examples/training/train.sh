#!/bin/sh
# Makes the tiny model, its adapters and the files of examples/models. One thread, about 12 minutes,
# and two more to score the result.
#
# Debian packages: python3 python3-torch python3-sentencepiece python3-safetensors libopenblas0-pthread
# LLAMA_CPP_DIR:   a llama.cpp checkout (v0.5.0 was used); its gguf-py writes the GGUF files
# PYTHON:          the interpreter, python3 by default
# WORK_DIR:        checkpoints and logs, ./work by default; the exported files go to WORK_DIR/models
set -eu

: "${LLAMA_CPP_DIR:?set LLAMA_CPP_DIR to a llama.cpp checkout}"
PYTHON=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
work=${WORK_DIR:-$here/work}
models=$work/models
mkdir -p "$work"

export PYTHONPATH="$LLAMA_CPP_DIR/gguf-py${PYTHONPATH:+:$PYTHONPATH}"
# One thread gives the same sums in the same order on every run, and is faster for matrices this small.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Keeps glibc from handing each step's buffers back to the kernel and faulting them in again.
export MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_TOP_PAD_=500000000

step() {
    echo "== $1"
    shift
    "$PYTHON" "$@"
}

step "tokenizer" "$here/tokenizer.py" --out "$work/tokenizer.model"

step "base model" "$here/train_base.py" --tokenizer "$work/tokenizer.model" --out "$work/base.pt" \
    --steps "${BASE_STEPS:-6000}"

for domain in medical legal finance; do
    step "adapter $domain" "$here/train_adapter.py" "$domain" --tokenizer "$work/tokenizer.model" \
        --base "$work/base.pt" --out "$work/$domain.pt" --steps "${DOMAIN_STEPS:-400}"
done

step "adapter formal" "$here/train_adapter.py" formal --tokenizer "$work/tokenizer.model" \
    --base "$work/base.pt" --out "$work/formal.pt" --steps "${FORMAL_STEPS:-800}" \
    --on-top-of "$work/medical.pt" "$work/legal.pt" "$work/finance.pt"

step "export" "$here/export.py" --tokenizer "$work/tokenizer.model" --base "$work/base.pt" \
    --adapters "$work/medical.pt" "$work/legal.pt" "$work/finance.pt" "$work/formal.pt" --out "$models"

step "score" "$here/evaluate.py" --models "$models" "$here/../models/golden.jsonl"
