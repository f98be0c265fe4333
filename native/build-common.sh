# What fetch-llama-cpp.sh and build-native.sh share. Sourced, not run.

# A git hook that starts the build exports these; they would point our git commands at the wrong repository.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

# One line for the user. On stderr, because stdout of fetch-llama-cpp.sh is its result.
say() {
    printf 'llamafu-native: %s\n' "$*" >&2
}

fail() {
    printf 'llamafu-native: ERROR: %s\n' "$*" >&2
    exit 1
}

# require_tools TOOL...: fails with the one command that installs what is missing.
require_tools() {
    local tool missing=()
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
    done
    if ((${#missing[@]} > 0)); then
        fail "cannot build the native library, because these programs are missing: ${missing[*]}." \
            "Install them with 'apt-get install g++ make cmake git npm' (Debian, Ubuntu) or the like," \
            "or build Java only with -Dnative.skip."
    fi
}

# Downloads and compiled llama.cpp live here, outside the repository, so that a second clone need not repeat them.
cache_dir() {
    printf '%s\n' "${LLAMAFU_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set; set LLAMAFU_CACHE to a folder}/.cache}/llamafu}"
}

# with_lock FILE COMMAND...: one process at a time, of all that build on this machine. The lock ends with the process.
with_lock() {
    local lock_file=$1
    shift
    mkdir -p "$(dirname "$lock_file")"
    (
        if ! flock --nonblock 9; then
            say "waiting for another process that holds $lock_file"
            flock 9
        fi
        "$@"
    ) 9>"$lock_file"
}
