#pragma once

#include <jni.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace llamafu {

/// A failure that reaches Java as LlamafuException of this io.llamafu.ErrorCode.
class CodedError : public std::runtime_error {
public:
    CodedError(const char * code, const std::string & message) : std::runtime_error(message), code_(code) {}
    const char * code() const { return code_; }

private:
    const char * code_;
};

/// Thrown when a JNI call has already left a Java exception pending.
struct JavaExceptionPending {};

void throw_java(JNIEnv * env, const char * code, const char * message);

/// Runs the body of a JNI entry so that no C++ exception crosses into the JVM.
template <typename Result, typename Body>
Result guarded(JNIEnv * env, Result on_error, Body && body) noexcept {
    try {
        return body();
    } catch (const JavaExceptionPending &) {
        // the JVM already knows
    } catch (const CodedError & e) {
        throw_java(env, e.code(), e.what());
    } catch (const std::bad_alloc &) {
        throw_java(env, "OUT_OF_MEMORY", "The operating system refused memory to llama.cpp; lower context-size or parallel-sequences.");
    } catch (const std::exception & e) {
        throw_java(env, "ENGINE_FAILED", e.what());
    } catch (...) {
        throw_java(env, "ENGINE_FAILED", "llama.cpp threw an unknown exception.");
    }
    return on_error;
}

template <typename Body>
void guarded(JNIEnv * env, Body && body) noexcept {
    guarded(env, 0, [&] {
        body();
        return 0;
    });
}

template <typename T>
T * from_handle(jlong handle) {
    return reinterpret_cast<T *>(handle);
}

template <typename T>
jlong to_handle(T * pointer) {
    return reinterpret_cast<jlong>(pointer);
}

std::string to_string(JNIEnv * env, jbyteArray bytes);
jbyteArray to_java(JNIEnv * env, const std::string & bytes);

/// A struct of numbers from its bytes.
template <typename Struct>
Struct to_struct(JNIEnv * env, jbyteArray bytes) {
    static_assert(std::is_trivially_copyable_v<Struct>);
    Struct result;
    env->GetByteArrayRegion(bytes, 0, sizeof result, reinterpret_cast<jbyte *>(&result));
    if (env->ExceptionCheck() == JNI_TRUE) { // the array is too short
        throw JavaExceptionPending();
    }
    return result;
}

/// A new long[].
template <typename Values>
jlongArray to_java_longs(JNIEnv * env, const Values & values) {
    const std::vector<jlong> longs(values.begin(), values.end());
    jlongArray result = env->NewLongArray(static_cast<jsize>(longs.size()));
    if (result == nullptr) {
        throw JavaExceptionPending();
    }
    env->SetLongArrayRegion(result, 0, static_cast<jsize>(longs.size()), longs.data());
    return result;
}

std::vector<jint> to_vector(JNIEnv * env, jintArray values);
std::vector<jlong> to_vector(JNIEnv * env, jlongArray values);
std::vector<jfloat> to_vector(JNIEnv * env, jfloatArray values);

} // namespace llamafu
