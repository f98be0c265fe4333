#pragma once

#include <stdexcept>
#include <string>

namespace llamafu {

/// What GGML_ASSERT or GGML_ABORT said in the scope of an AbortGuard.
class LlamaAbort : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// While one lives, GGML_ASSERT and GGML_ABORT on its thread throw a LlamaAbort in place of ending the process. Only for
/// what llama.cpp does on one thread: in a compute the other threads would wait for the one that threw.
class AbortGuard {
public:
    AbortGuard();
    ~AbortGuard();

    AbortGuard(const AbortGuard &) = delete;
    AbortGuard & operator=(const AbortGuard &) = delete;

    /// What an abort in this scope said, though llama.cpp may have caught the exception itself; empty if there was none.
    const std::string & message() const;
};

/// Has ggml ask for guards when it aborts.
void install_abort_guard();

} // namespace llamafu
