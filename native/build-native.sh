#!/usr/bin/env bash
# Builds libllamafu.so in two stages and puts it, with build.properties, where Maven packs it into the jar.
#   Stage 1 compiles the patched llama.cpp into static libraries in the cache, keyed by everything that they depend on, and
#   puts its Jinja engine beside them.
#   Stage 2 compiles src/main/cpp and the Jinja engine and links all into one library, in target/native; and the test
#   programs lora_parity, split_parity, stack_parity and packed_parity.
# Nothing is done when no input changed. See docs/native-build.md.
set -euo pipefail

script_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$script_dir"
source ./build-common.sh
source ./llama-cpp.env

march=native
sanitize=
cuda=false
java_home=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v javac || true)")")")}
jobs=$(getconf _NPROCESSORS_ONLN)
target=$script_dir/target

read_arguments() {
    local argument
    for argument in "$@"; do
        case $argument in
            --march=*) march=${argument#*=} ;;
            --sanitize=*) sanitize=${argument#*=} ;;
            --cuda=*) cuda=${argument#*=} ;;
            --java-home=*) java_home=${argument#*=} ;;
            --jobs=*) jobs=${argument#*=} ;;
            --target=*) target=${argument#*=} ;;
            *) fail "unknown argument $argument (known: --march= --sanitize= --cuda= --java-home= --jobs= --target=)" ;;
        esac
    done
    export CC=${CC:-gcc} CXX=${CXX:-g++}

    build_dir=$target/native
    log=$build_dir/build.log
    resource_dir=$target/classes/io/llamafu/native/linux-$(uname -m)
    library=$resource_dir/libllamafu.so
    properties=$resource_dir/build.properties
}

# ---- Helpers ----------------------------------------------------------------------------------------------------------

short_sha256() {
    sha256sum | cut -c 1-16
}

# hash_of_files FOLDER NAME-PATTERN: of their names and contents.
hash_of_files() {
    find "$1" -type f -name "$2" -print0 | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum \
        | short_sha256
}

fail_with_log() {
    say "the last lines of $log:"
    tail -n 30 "$log" >&2
    fail "$*. The whole log: $log"
}

# logged COMMAND...: its output goes to the log, and a line to the console now and then, because minutes of silence
# look like a hang. The command stays in the foreground so that Ctrl-C reaches it, and it inherits the lock (file
# descriptor 9), so that a compilation that outlives a killed build still keeps others out of its folder.
logged() {
    local heartbeat status=0
    show_progress 9>&- &
    heartbeat=$!
    "$@" >>"$log" 2>&1 || status=$?
    kill "$heartbeat" 2>/dev/null || true
    wait "$heartbeat" 2>/dev/null || true
    return "$status"
}

# Ends by itself when the build was killed and could not end it.
show_progress() {
    local seconds=0 build=$$
    while sleep 1 && kill -0 "$build" 2>/dev/null; do
        seconds=$((seconds + 1))
        if ((seconds % 15 == 0)); then
            say "  $seconds s $(grep -oE '^\[ *[0-9]+(%|/[0-9]+)\]' "$log" | tail -n 1 || true)"
        fi
    done
}

required_cpu_features() {
    local macro flag
    while read -r macro flag; do
        if [[ -n $flag && $macro != \#* ]] && grep -q "^#define $macro " <<<"$macros"; then
            printf '%s ' "$flag"
        fi
    done <cpu-features.txt
}

# ---- Inputs: what the result depends on -------------------------------------------------------------------------------

describe_inputs() {
    require_tools "$CC" "$CXX" flock sha512sum
    # The macros that the compiler predefines for the instruction set say exactly which instructions it may use, also
    # for "native", whose meaning differs from machine to machine.
    macros=$("$CXX" -march="$march" -dM -E -x c++ /dev/null) \
        || fail "native.march=$march is no instruction set that $CXX knows for $(uname -m)." \
            "Use native, or a level such as x86-64-v2, x86-64-v3, x86-64-v4, armv8-a."
    compiler=$("$CXX" --version | head -n 1)
    patches_hash=$(hash_of_files patches '*.patch')
    sources_hash=$(hash_of_files src/main/cpp '*')

    stamp=$build_dir/inputs.sha256
    inputs=$({
        echo "$march" "$sanitize" "$cuda" "$compiler" "$patches_hash"
        echo "$macros"
        echo "$sources_hash"
        hash_of_files src/test/cpp '*'
        sha256sum CMakeLists.txt cpu-features.txt llama-cpp.env ./*.sh
    } | short_sha256)
}

is_up_to_date() {
    [[ -f $library && -f $properties && -f $build_dir/cmake/lora_parity && -f $build_dir/cmake/split_parity && -f $build_dir/cmake/stack_parity && -f $build_dir/cmake/packed_parity && -f $stamp && $(<"$stamp") == "$inputs" ]]
}

# ---- Stage 1: llama.cpp -----------------------------------------------------------------------------------------------

describe_llama_cpp() {
    # All instruction set options of ggml are off and -march decides alone: what it does not allow cannot be emitted.
    local c_flags="-march=$march -ffunction-sections -fdata-sections"
    llama_cpp_options=(
        -DCMAKE_BUILD_TYPE=Release
        -DCMAKE_C_FLAGS="$c_flags"
        -DCMAKE_CXX_FLAGS="$c_flags"
        -DCMAKE_POSITION_INDEPENDENT_CODE=ON
        -DCMAKE_C_VISIBILITY_PRESET=hidden
        -DCMAKE_CXX_VISIBILITY_PRESET=hidden
        -DCMAKE_VISIBILITY_INLINES_HIDDEN=ON
        -DBUILD_SHARED_LIBS=OFF
        -DLLAMA_BUILD_IS_DEV=OFF
        -DLLAMA_BUILD_COMMIT="${LLAMA_CPP_COMMIT:0:7}"
        -DLLAMA_BUILD_{COMMON,TESTS,TOOLS,EXAMPLES,SERVER,APP}=OFF
        -DGGML_CCACHE=OFF
        -DGGML_CUDA="${cuda^^}"
        -DGGML_OPENMP=OFF
        -DGGML_NATIVE=OFF
        -DGGML_{SSE42,AVX,AVX2,BMI2,FMA,F16C}=OFF
    )
    flags_hash=$(printf '%s\n' "$LLAMA_CPP_TREE" "$compiler" "$macros" "${llama_cpp_options[@]}" | short_sha256)
    cache=$(cache_dir)/native
    llama_cpp=$cache/${march//[^A-Za-z0-9._-]/_}-$flags_hash-$patches_hash
}

# checkout_patched_source SOURCE FOLDER: the patched source in a private clone that borrows the objects of SOURCE. Only
# files that differ are written, so that a changed patch recompiles what depends on it and no more.
checkout_patched_source() {
    local source=$1 folder=$2 patch
    if [[ $(git -C "$folder" rev-parse --verify --quiet 'HEAD^{tree}' 2>/dev/null || true) != "$LLAMA_CPP_TREE" ]]; then
        rm -rf "$folder"
        git clone --quiet --shared --no-checkout --config core.autocrlf=false "$source" "$folder" >>"$log" 2>&1 \
            || fail_with_log "cannot clone $source into $folder"
    fi
    git -C "$folder" sparse-checkout set cmake common ggml include src vendor >>"$log" 2>&1 \
        && git -C "$folder" reset --quiet --hard >>"$log" 2>&1 && git -C "$folder" clean -fdq >>"$log" 2>&1 \
        || fail_with_log "cannot check out llama.cpp in $folder"
    for patch in "$script_dir"/patches/*.patch; do
        [[ -e $patch ]] || continue
        git -C "$folder" apply --unidiff-zero --whitespace=nowarn "$patch" >>"$log" 2>&1 \
            || fail_with_log "$(basename "$patch") does not apply to llama.cpp $LLAMA_CPP_VERSION"
    done
}

# compile_llama_cpp SOURCE WORK: runs under the lock of WORK. The result appears whole, by a rename, or not at all.
compile_llama_cpp() {
    local source=$1 work=$2 staging
    [[ ! -d $llama_cpp ]] || return 0
    say "compiling llama.cpp $LLAMA_CPP_VERSION for $march: about 3 CPU minutes, once on this machine (log: $log)"

    mkdir -p "$work"
    touch "$work"
    checkout_patched_source "$source" "$work/source"
    logged cmake -S "$work/source" -B "$work/build" "${llama_cpp_options[@]}" \
        || fail_with_log "cannot configure llama.cpp"
    logged cmake --build "$work/build" --target llama --parallel "$jobs" \
        || fail_with_log "cannot compile llama.cpp"

    staging=$(mktemp -d "$cache/staging.XXXXXX")
    mkdir "$staging/lib"
    find "$work/build" -name 'lib*.a' -exec cp {} "$staging/lib/" \;
    (cd "$work/source" && find include src ggml/include ggml/src \( -name '*.h' -o -name '*.inc' \) -exec cp --parents {} "$staging/" \;)
    (cd "$work/source" && cp --parents common/json.h common/unicode.* common/jinja/*.{h,cpp} "$staging/")
    cp "$work/build/src/llama-version.h" "$staging/src/"
    mv "$staging" "$llama_cpp"
}

provide_llama_cpp() {
    local source
    if [[ ! -d $llama_cpp ]]; then
        source=$(./fetch-llama-cpp.sh)
        mkdir -p "$cache"
        with_lock "$(cache_dir)/locks/native-$flags_hash.lock" compile_llama_cpp "$source" "$cache/work-$flags_hash"
    fi
    # Libraries of patches that nobody builds any more need not stay for ever.
    touch "$llama_cpp"
    find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
}

# ---- Stage 2: libllamafu.so -------------------------------------------------------------------------------------------

build_library() {
    local cmake_dir=$build_dir/cmake
    say "compiling and linking libllamafu.so (log: $log)"
    # CMake refuses a build folder that moved, as when a clone is copied.
    if [[ -f $cmake_dir/CMakeCache.txt ]] \
        && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$script_dir" "$cmake_dir/CMakeCache.txt"; then
        rm -rf "$cmake_dir"
    fi
    logged cmake -S . -B "$cmake_dir" -DCMAKE_BUILD_TYPE=Release \
        -DLLAMAFU_LLAMA_CPP="$llama_cpp" -DLLAMAFU_MARCH="$march" -DLLAMAFU_SANITIZE="$sanitize" \
        -DLLAMAFU_CUDA="${cuda^^}" -DJAVA_HOME="$java_home" \
        -DLLAMAFU_BUILD_INFO="llama.cpp $LLAMA_CPP_VERSION (${LLAMA_CPP_COMMIT:0:7}, patches $patches_hash, sources $sources_hash), march $march, CUDA $cuda, $compiler" \
        || fail_with_log "cannot configure libllamafu.so"
    logged cmake --build "$cmake_dir" --parallel "$jobs" || fail_with_log "cannot build libllamafu.so"
}

# The library is renamed into place last: a JVM that has the old one mapped keeps it.
publish_library() {
    mkdir -p "$resource_dir"
    if [[ -z $sanitize ]]; then
        strip --strip-unneeded -o "$library.new" "$build_dir/cmake/libllamafu.so"
    else
        cp "$build_dir/cmake/libllamafu.so" "$library.new"
    fi
    cat >"$properties" <<END
# What libllamafu.so was built from, and the CPU that it needs. Read by NativeLibraryLoader before it loads the library.
march=$march
cpu.features=$(required_cpu_features)
llama.cpp.version=$LLAMA_CPP_VERSION
llama.cpp.commit=$LLAMA_CPP_COMMIT
patches=$patches_hash
compiler=$compiler
sanitize=$sanitize
cuda=$cuda
END
    mv "$library.new" "$library"
    echo "$inputs" >"$stamp"
    say "built $library ($(($(stat -c %s "$library") / 1024)) KB)"
}

# In one function, which bash reads whole before it starts: the script may change while the build runs.
main() {
    read_arguments "$@"
    describe_inputs
    if is_up_to_date; then
        return
    fi

    require_tools cmake git tar strip
    if command -v ninja >/dev/null 2>&1; then
        export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
    else
        require_tools make
    fi
    [[ -f $java_home/include/jni.h ]] || fail "the folder '$java_home' is not a JDK: it has no include/jni.h." \
        "Set JAVA_HOME to a JDK 17 (apt-get install openjdk-17-jdk-headless)."
    mkdir -p "$build_dir"
    : >"$log"

    describe_llama_cpp
    provide_llama_cpp
    build_library
    publish_library
}

main "$@"
exit
