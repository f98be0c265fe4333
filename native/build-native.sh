#!/usr/bin/env bash
# Builds libllamafu.so for one or several levels of instruction sets in two stages and puts each, with build.properties, where
# Maven packs it into the jar.
#   Stage 1 compiles the patched llama.cpp into static libraries in the cache, keyed by everything that they depend on, and
#   puts its Jinja engine beside them. Of ggml's kernels there is a library for each level; all else is compiled for the lowest.
#   Stage 2 compiles src/main/cpp and the Jinja engine and links all into a library for each level, in target/native, and
#   compiles the test programs.
# Nothing is done when no input changed. See docs/native-build.md.
set -euo pipefail

script_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$script_dir"
source ./build-common.sh
source ./llama-cpp.env

march=portable
machine=
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
            --machine=*) machine=${argument#*=} ;;
            --sanitize=*) sanitize=${argument#*=} ;;
            --cuda=*) cuda=${argument#*=} ;;
            --java-home=*) java_home=${argument#*=} ;;
            --jobs=*) jobs=${argument#*=} ;;
            --target=*) target=${argument#*=} ;;
            *) fail "unknown argument $argument (known: --march= --machine= --sanitize= --cuda= --java-home= --jobs= --target=)" ;;
        esac
    done
    build_dir=$target/native
    strip=strip
    cross_options=()
    if [[ -n $machine && $machine != $(uname -m) ]]; then
        export CC=$machine-linux-gnu-gcc CXX=$machine-linux-gnu-g++
        strip=$machine-linux-gnu-strip
        build_dir=$target/native-$machine
        cross_options=(-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$machine")
    else
        machine=$(uname -m)
        export CC=${CC:-gcc} CXX=${CXX:-g++}
    fi
    log=$build_dir/build.log
    resource_dir=$target/classes/io/llamafu/native/linux-$machine
}

# ---- Levels -----------------------------------------------------------------------------------------------------------

# Prints the name and the compiler's options of each level, the best one first.
levels_of_march() {
    case $march:$machine:$cuda in
        portable:x86_64:true)
            echo x86-64-v3 -march=x86-64-v3
            ;;
        portable:x86_64:*)
            echo x86-64-v4-vnni -march=x86-64-v4 -mavx512vnni
            echo x86-64-v3 -march=x86-64-v3
            echo x86-64-v2 -march=x86-64-v2
            ;;
        portable:aarch64:true)
            echo armv8.2-dotprod -march=armv8.2-a+fp16+dotprod
            ;;
        portable:aarch64:*)
            echo armv8.2-i8mm -march=armv8.2-a+fp16+dotprod+i8mm
            echo armv8.2-dotprod -march=armv8.2-a+fp16+dotprod
            ;;
        portable:*)
            echo native -march=native
            ;;
        *)
            echo "$march" -march="$march"
            ;;
    esac
}

# Fills levels, and for each level flags and macros; lowest is the last level.
read_levels() {
    local name options
    levels=()
    declare -gA flags=() macros=()
    while read -r name options; do
        levels+=("$name")
        flags[$name]=$options
        # The macros that the compiler predefines for the instruction set say exactly which instructions it may use, also
        # for "native", whose meaning differs from machine to machine.
        # shellcheck disable=SC2086 # options are words
        macros[$name]=$("$CXX" $options -dM -E -x c++ /dev/null) \
            || fail "native.march=$march is no instruction set that $CXX knows for $machine." \
                "Use portable, native, or a level such as x86-64-v2, x86-64-v3, x86-64-v4, armv8-a."
    done < <(levels_of_march)
    lowest=${levels[-1]}
}

required_cpu_features() {
    local architecture macro flag
    while read -r architecture macro flag; do
        if [[ $architecture == "$machine" ]] && grep -q "^#define $macro " <<<"${macros[$1]}"; then
            printf '%s ' "$flag"
        fi
    done <cpu-features.txt
}

# Prints the best level that this machine can run; the test programs are built for it.
best_usable_level() {
    local level feature known
    known=" $(grep -m 1 -E '^(flags|Features)' /proc/cpuinfo | cut -d : -f 2) "
    for level in "${levels[@]}"; do
        for feature in $(required_cpu_features "$level"); do
            [[ $known == *" $feature "* ]] || continue 2
        done
        echo "$level"
        return
    done
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

# ---- Inputs: what the result depends on -------------------------------------------------------------------------------

describe_inputs() {
    require_tools "$CC" "$CXX" flock sha512sum
    read_levels
    compiler=$("$CXX" --version | head -n 1)
    patches_hash=$(hash_of_files patches '*.patch')
    sources_hash=$(hash_of_files src/main/cpp '*')

    stamp=$build_dir/inputs.sha256
    inputs=$({
        echo "$march" "$sanitize" "$cuda" "$compiler" "$patches_hash"
        all_macros
        echo "$sources_hash"
        hash_of_files src/test/cpp '*'
        sha256sum CMakeLists.txt cpu-features.txt llama-cpp.env ./*.sh
    } | short_sha256)
}

# Of all levels, with their names.
all_macros() {
    local level
    for level in "${levels[@]}"; do
        echo "$level ${macros[$level]}"
    done
}

is_up_to_date() {
    local file
    [[ -f $stamp && $(<"$stamp") == "$inputs" && -f $resource_dir/levels ]] || return 1
    for file in "${levels[@]/#/$resource_dir/}"; do
        [[ -f $file/libllamafu.so && -f $file/build.properties ]] || return 1
    done
    for file in lora_parity split_parity stack_parity packed_parity packed_perplexity host_products; do
        [[ -f $build_dir/cmake/$file ]] || return 1
    done
}

# ---- Stage 1: llama.cpp -----------------------------------------------------------------------------------------------

describe_llama_cpp() {
    # All instruction set options of ggml are off and -march decides alone: what it does not allow cannot be emitted.
    # Which product of a sum is rounded must not depend on the instruction set: compilers choose differently for ARM.
    common_flags="-ffunction-sections -fdata-sections -ffp-contract=off"
    llama_cpp_options=(
        "${cross_options[@]}"
        -DCMAKE_BUILD_TYPE=Release
        -DCMAKE_OPTIMIZE_DEPENDENCIES=ON # ggml-cpu is compiled without ggml-base
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
    flags_hash=$(printf '%s\n' "$LLAMA_CPP_TREE" "$compiler" "$(all_macros)" "$common_flags" "${llama_cpp_options[@]}" | short_sha256)
    cache=$(cache_dir)/native
    llama_cpp=$cache/${march//[^A-Za-z0-9._-]/_}-$flags_hash-$patches_hash
}

# checkout_patched_source SOURCE FOLDER: the patched source in a private clone that borrows the objects of SOURCE. Only
# files that differ are written, so that a changed patch recompiles what depends on it and no more.
checkout_patched_source() {
    local source=$1 folder=$2 patch applied=$2/.git/llamafu-patches
    # A build that was interrupted goes on where it was.
    [[ ! -f $applied || $(<"$applied") != "$LLAMA_CPP_TREE $patches_hash" ]] || return 0
    rm -f "$applied"
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
    echo "$LLAMA_CPP_TREE $patches_hash" >"$applied"
}

# compile_level WORK LEVEL TARGET OPTION...: of the patched source in WORK. Paths in messages do not name WORK, as the bytes of the library
# must not depend on it.
compile_level() {
    local work=$1 level=$2 target=$3 c_flags
    shift 3
    c_flags="${flags[$level]} $common_flags -ffile-prefix-map=$work/source=llama.cpp"
    logged cmake -S "$work/source" -B "$work/build-$level" "${llama_cpp_options[@]}" "$@" \
        -DCMAKE_C_FLAGS="$c_flags" -DCMAKE_CXX_FLAGS="$c_flags" \
        || fail_with_log "cannot configure llama.cpp"
    logged cmake --build "$work/build-$level" --target "$target" --parallel "$jobs" \
        || fail_with_log "cannot compile llama.cpp for $level"
}

# compile_llama_cpp SOURCE WORK: runs under the lock of WORK. The result appears whole, by a rename, or not at all.
compile_llama_cpp() {
    local source=$1 work=$2 staging level
    [[ ! -d $llama_cpp ]] || return 0
    say "compiling llama.cpp $LLAMA_CPP_VERSION for ${levels[*]}: about $((2 + ${#levels[@]})) CPU minutes, once on this machine (log: $log)"

    mkdir -p "$work"
    touch "$work"
    checkout_patched_source "$source" "$work/source"
    compile_level "$work" "$lowest" llama -DCMAKE_OPTIMIZE_DEPENDENCIES=OFF
    staging=$(mktemp -d "$cache/staging.XXXXXX")
    mkdir "$staging/lib"
    find "$work/build-$lowest" -name 'lib*.a' -exec cp {} "$staging/lib/" \;
    for level in "${levels[@]}"; do
        [[ $level == "$lowest" ]] || compile_level "$work" "$level" ggml-cpu
        mkdir "$staging/lib/$level"
        find "$work/build-$level" -name libggml-cpu.a -exec cp {} "$staging/lib/$level/" \;
    done
    (cd "$work/source" && find include src ggml/include ggml/src \( -name '*.h' -o -name '*.inc' \) -exec cp --parents {} "$staging/" \;)
    (cd "$work/source" && cp --parents common/json.h common/unicode.* common/jinja/*.{h,cpp} "$staging/")
    cp "$work/build-$lowest/src/llama-version.h" "$staging/src/"
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
    local cmake_dir=$build_dir/cmake test_level=$lowest # which an emulator can run
    ((${#cross_options[@]})) || test_level=$(best_usable_level)
    say "compiling and linking libllamafu.so (log: $log)"
    # CMake refuses a build folder that moved, as when a clone is copied.
    if [[ -f $cmake_dir/CMakeCache.txt ]] \
        && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$script_dir" "$cmake_dir/CMakeCache.txt"; then
        rm -rf "$cmake_dir"
    fi
    logged cmake -S . -B "$cmake_dir" "${cross_options[@]}" -DCMAKE_BUILD_TYPE=Release \
        -DLLAMAFU_LLAMA_CPP="$llama_cpp" -DLLAMAFU_SANITIZE="$sanitize" -DLLAMAFU_FLAGS="${flags[$lowest]// /;}" \
        -DLLAMAFU_LEVELS="$(IFS=';' && echo "${levels[*]}")" -DLLAMAFU_TEST_LEVEL="$test_level" \
        -DLLAMAFU_CUDA="${cuda^^}" -DJAVA_HOME="$java_home" \
        -DLLAMAFU_BUILD_INFO="llama.cpp $LLAMA_CPP_VERSION (${LLAMA_CPP_COMMIT:0:7}, patches $patches_hash, sources $sources_hash), CUDA $cuda, $compiler" \
        || fail_with_log "cannot configure libllamafu.so"
    logged cmake --build "$cmake_dir" --parallel "$jobs" || fail_with_log "cannot build libllamafu.so"
}

# publish_level FOLDER LEVEL
publish_level() {
    local folder=$1 level=$2
    mkdir "$folder/$level"
    if [[ -z $sanitize ]]; then
        "$strip" --strip-unneeded -o "$folder/$level/libllamafu.so" "$build_dir/cmake/$level/libllamafu.so"
    else
        cp "$build_dir/cmake/$level/libllamafu.so" "$folder/$level/"
    fi
    cat >"$folder/$level/build.properties" <<END
# What libllamafu.so was built from, and the CPU that it needs. Read by NativeLibraryLoader before it loads the library.
level=$level
cpu.features=$(required_cpu_features "$level")
llama.cpp.version=$LLAMA_CPP_VERSION
llama.cpp.commit=$LLAMA_CPP_COMMIT
patches=$patches_hash
compiler=$compiler
sanitize=$sanitize
cuda=$cuda
END
}

# The libraries replace the old ones; a JVM that has an old one mapped keeps it.
publish_libraries() {
    local staging=$resource_dir.new level
    rm -rf "$staging"
    mkdir -p "$staging"
    for level in "${levels[@]}"; do
        publish_level "$staging" "$level"
    done
    printf '%s\n' "${levels[@]}" >"$staging/levels"
    rm -rf "$resource_dir"
    mv "$staging" "$resource_dir"
    echo "$inputs" >"$stamp"
    say "built $resource_dir: ${levels[*]} ($(du -sk "$resource_dir" | cut -f 1) KB)"
}

# In one function, which bash reads whole before it starts: the script may change while the build runs.
main() {
    read_arguments "$@"
    describe_inputs
    if is_up_to_date; then
        return
    fi

    require_tools cmake git tar "$strip"
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
    publish_libraries
}

main "$@"
exit
