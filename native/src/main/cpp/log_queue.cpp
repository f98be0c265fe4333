#include "log_queue.h"

#include "ggml.h"
#include "llama.h"

#include <mutex>

namespace llamafu {

namespace {

constexpr size_t max_bytes = 256 * 1024;

std::mutex mutex;
std::string lines;
bool in_line = false;
bool in_debug = false;
size_t dropped = 0;

void on_log(ggml_log_level level, const char * text, void *) {
    std::lock_guard<std::mutex> lock(mutex);
    // llama.cpp logs for its developers in every step that builds a graph
    if (level != GGML_LOG_LEVEL_CONT) {
        in_debug = level == GGML_LOG_LEVEL_DEBUG;
    }
    if (in_debug) {
        return;
    }
    for (const char * c = text; *c != '\0'; c++) {
        if (!in_line && lines.size() > max_bytes) {
            dropped += *c == '\n';
            continue;
        }
        if (!in_line) {
            // a continued line keeps the level of its beginning
            lines += static_cast<char>('0' + (level == GGML_LOG_LEVEL_CONT ? GGML_LOG_LEVEL_INFO : level));
            in_line = true;
        }
        lines += *c;
        in_line = *c != '\n';
    }
}

} // namespace

void capture_log() {
    llama_log_set(on_log, nullptr);
}

std::string drain_log() {
    std::lock_guard<std::mutex> lock(mutex);
    if (in_line) {
        lines += '\n';
        in_line = false;
    }
    if (dropped > 0) {
        lines += static_cast<char>('0' + GGML_LOG_LEVEL_WARN);
        lines += std::to_string(dropped) + " log lines of llama.cpp were dropped.\n";
        dropped = 0;
    }
    std::string result;
    result.swap(lines);
    return result;
}

} // namespace llamafu
