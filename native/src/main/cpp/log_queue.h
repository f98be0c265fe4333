#pragma once

#include <string>

namespace llamafu {

/// Captures llama.cpp's log from now on. Lines wait in a bounded queue until Java fetches them, because llama.cpp also
/// logs from threads that the JVM does not know.
void capture_log();

/// The lines logged since the last call, each as its level digit (ggml_log_level), the text and a newline.
std::string drain_log();

} // namespace llamafu
