// Allocation of ggml's large buffers. The linker's --wrap makes ggml call these functions instead of its own allocator.

#include "buffer_pages.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <utility>

#include <sys/mman.h>

extern "C" {
void * __real_ggml_aligned_malloc(size_t size);
void __real_ggml_aligned_free(void * buffer, size_t size);
}

namespace llamafu {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t huge_page = 2 << 20;

struct Buffer {
    void * start = nullptr;
    size_t size = 0;
    Clock::time_point freed;
};

thread_local int reuses = 0;

std::mutex kept_mutex;
Buffer kept[2]; // an engine has two loader threads

bool is_large(size_t size) {
    return size >= 2 * huge_page && size <= PTRDIFF_MAX - huge_page;
}

size_t whole_pages(size_t size) {
    return (size + huge_page - 1) / huge_page * huge_page;
}

/// In huge pages, except for a last part of one: weights that a step reads once cost fewer TLB misses.
void * allocate(size_t size) {
    void * start = nullptr;
    if (posix_memalign(&start, huge_page, whole_pages(size)) != 0) {
        release_kept_buffers(std::chrono::milliseconds(0));
        return __real_ggml_aligned_malloc(whole_pages(size)); // or logs that memory is exhausted
    }
    // before they are written, so that nothing is moved later
    (void) madvise(start, size / huge_page * huge_page, MADV_HUGEPAGE);
    return start;
}

void * take_kept(size_t size) {
    std::lock_guard<std::mutex> lock(kept_mutex);
    for (Buffer & buffer : kept) {
        if (buffer.size == size) {
            return std::exchange(buffer, {}).start;
        }
    }
    return nullptr;
}

void keep(void * start, size_t size) {
    Buffer buffer{start, size, Clock::now()};
    {
        std::lock_guard<std::mutex> lock(kept_mutex);
        for (Buffer & other : kept) {
            if (buffer.start != nullptr && other.freed < buffer.freed) {
                std::swap(buffer, other);
            }
        }
    }
    __real_ggml_aligned_free(buffer.start, buffer.size);
}

} // namespace

BufferReuse::BufferReuse() {
    reuses++;
}

BufferReuse::~BufferReuse() {
    reuses--;
}

void release_kept_buffers(std::chrono::milliseconds age) {
    const Clock::time_point now = Clock::now();
    for (Buffer & buffer : kept) {
        Buffer old;
        {
            std::lock_guard<std::mutex> lock(kept_mutex);
            if (buffer.start != nullptr && now - buffer.freed >= age) {
                old = std::exchange(buffer, {});
            }
        }
        __real_ggml_aligned_free(old.start, old.size);
    }
}

} // namespace llamafu

using namespace llamafu;

extern "C" {

void * __wrap_ggml_aligned_malloc(size_t size) {
    if (!is_large(size)) {
        return __real_ggml_aligned_malloc(size);
    }
    void * start = reuses > 0 ? take_kept(whole_pages(size)) : nullptr;
    return start != nullptr ? start : allocate(size);
}

void __wrap_ggml_aligned_free(void * start, size_t size) {
    if (start != nullptr && is_large(size) && reuses > 0) {
        keep(start, whole_pages(size));
    } else {
        __real_ggml_aligned_free(start, size);
    }
}

} // extern "C"
