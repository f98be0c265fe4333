#pragma once

#include <stdexcept>
#include <string>

namespace llamafu {

/// The message of a GGML_ASSERT or GGML_ABORT in the scope of an AbortGuard.
class LlamaAbort : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// While one exists, GGML_ASSERT and GGML_ABORT on its thread throw a LlamaAbort instead of ending the process. Only
/// for code that llama.cpp runs on one thread: in a compute, the other threads would wait for the one that threw.
class AbortGuard {
public:
    AbortGuard();
    ~AbortGuard();

    AbortGuard(const AbortGuard &) = delete;
    AbortGuard & operator=(const AbortGuard &) = delete;

    /// The message of an abort in this scope, even if llama.cpp caught the exception itself; empty if there was none.
    const std::string & message() const;
};

/// Registers the guards with ggml.
void install_abort_guard();

} // namespace llamafu
