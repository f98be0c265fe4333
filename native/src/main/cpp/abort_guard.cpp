#include "abort_guard.h"

#include "ggml.h"

#include <cstdio>

namespace llamafu {

namespace {

thread_local int guards = 0;
thread_local std::string last_message;

/// Called by ggml_abort, which ends the process if this returns. llama.cpp, including its C code, is compiled with
/// unwind tables.
void on_abort(const char * message) {
    if (guards > 0) {
        last_message = message;
        throw LlamaAbort(message);
    }
    std::fprintf(stderr, "%s\n", message);
}

} // namespace

AbortGuard::AbortGuard() {
    guards++;
    last_message.clear();
}

AbortGuard::~AbortGuard() {
    guards--;
}

const std::string & AbortGuard::message() const {
    return last_message;
}

void install_abort_guard() {
    ggml_set_abort_callback(on_abort);
}

} // namespace llamafu
