#pragma once

#include <cstddef>

namespace llamafu {

/// Ends the parsing or rendering of a template. Not a std::exception: those are caught by llama.cpp's Jinja engine, which
/// takes them for errors of the template.
struct TemplateStopped {
    const char * reason; // "it " and this
};

/// What a chat template may use up on this thread while one exists. Everything that the engine does is counted by the calls
/// of jinja::spend that patch 0007 adds, and by what it allocates. Allocated bytes are counted when they are allocated and
/// never given back, so they limit the memory and the copying at once.
class TemplateBudget {
public:
    /// @param stack bytes of the stack that may be used, below the caller
    TemplateBudget(size_t work, size_t bytes, size_t stack);
    ~TemplateBudget();

    TemplateBudget(const TemplateBudget &) = delete;
    TemplateBudget & operator=(const TemplateBudget &) = delete;

    size_t work() const { return work_; }
    size_t bytes() const { return bytes_; }

    void spend(size_t work);
    void allocate(size_t bytes);

private:
    const size_t most_work_;
    const size_t most_bytes_;
    const char * const stack_end_;
    size_t work_ = 0;
    size_t bytes_ = 0;
};

} // namespace llamafu
