#include "token_sampler.h"

#include "llama.h"

#include <jni.h>

#include <string>

// What this library was built from, for logs and bug reports: llama.cpp's version and commit, the instruction set and
// the compiler, then the CPU features of llama.cpp's kernels.
extern "C" JNIEXPORT jstring JNICALL Java_io_llamafu_llamacpp_NativeLibrary_buildInfo(JNIEnv * env, jclass) {
    const std::string info = std::string(LLAMAFU_BUILD_INFO ", level " LLAMAFU_LEVEL "; ") + llama_print_system_info();
    return env->NewStringUTF(info.c_str());
}

// The layout of a sampler's options in memory; NativeLibrary compares it with what Java writes.
extern "C" JNIEXPORT jstring JNICALL Java_io_llamafu_llamacpp_NativeLibrary_samplingLayout(JNIEnv * env, jclass) {
    return env->NewStringUTF(llamafu::sampling_layout);
}
