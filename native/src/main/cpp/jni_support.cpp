#include "jni_support.h"

#include <limits>

namespace llamafu {

namespace {

/// NewStringUTF takes modified UTF-8 only; bytes of a message that may be anything else are shown as '?'.
jstring ascii_string(JNIEnv * env, const char * text) {
    std::string ascii(text);
    for (char & c : ascii) {
        if (static_cast<unsigned char>(c) >= 0x80) {
            c = '?';
        }
    }
    return env->NewStringUTF(ascii.c_str());
}

} // namespace

void throw_java(JNIEnv * env, const char * code, const char * message) {
    // Classes are looked up here and not cached: a global reference from the library would keep its class loader alive.
    jclass codes = env->FindClass("io/llamafu/ErrorCode");
    jclass exceptions = codes == nullptr ? nullptr : env->FindClass("io/llamafu/LlamafuException");
    if (exceptions == nullptr) {
        return;
    }
    jmethodID value_of = env->GetStaticMethodID(codes, "valueOf", "(Ljava/lang/String;)Lio/llamafu/ErrorCode;");
    jmethodID construct =
        env->GetMethodID(exceptions, "<init>", "(Lio/llamafu/ErrorCode;Ljava/lang/String;)V");
    if (value_of == nullptr || construct == nullptr) {
        return;
    }
    jobject java_code = env->CallStaticObjectMethod(codes, value_of, env->NewStringUTF(code));
    if (env->ExceptionCheck()) {
        return;
    }
    jobject exception = env->NewObject(exceptions, construct, java_code, ascii_string(env, message));
    if (exception != nullptr) {
        env->Throw(static_cast<jthrowable>(exception));
    }
}

std::string to_string(JNIEnv * env, jbyteArray bytes) {
    std::string result(static_cast<size_t>(env->GetArrayLength(bytes)), '\0');
    env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(result.size()), reinterpret_cast<jbyte *>(result.data()));
    return result;
}

jbyteArray to_java(JNIEnv * env, const std::string & bytes) {
    if (bytes.size() > static_cast<size_t>(std::numeric_limits<jsize>::max())) {
        throw CodedError("OUT_OF_MEMORY", "A result of " + std::to_string(bytes.size()) + " bytes is too long for a Java array.");
    }
    const jsize size = static_cast<jsize>(bytes.size());
    jbyteArray result = env->NewByteArray(size);
    if (result == nullptr) {
        throw JavaExceptionPending();
    }
    env->SetByteArrayRegion(result, 0, size, reinterpret_cast<const jbyte *>(bytes.data()));
    return result;
}

std::vector<jint> to_vector(JNIEnv * env, jintArray values) {
    std::vector<jint> result(static_cast<size_t>(env->GetArrayLength(values)));
    env->GetIntArrayRegion(values, 0, static_cast<jsize>(result.size()), result.data());
    return result;
}

std::vector<jlong> to_vector(JNIEnv * env, jlongArray values) {
    std::vector<jlong> result(static_cast<size_t>(env->GetArrayLength(values)));
    env->GetLongArrayRegion(values, 0, static_cast<jsize>(result.size()), result.data());
    return result;
}

std::vector<jfloat> to_vector(JNIEnv * env, jfloatArray values) {
    std::vector<jfloat> result(static_cast<size_t>(env->GetArrayLength(values)));
    env->GetFloatArrayRegion(values, 0, static_cast<jsize>(result.size()), result.data());
    return result;
}

} // namespace llamafu
