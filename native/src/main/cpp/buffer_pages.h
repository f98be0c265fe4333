#pragma once

#include <chrono>

namespace llamafu {

/// While one exists, large buffers that its thread frees are kept for later allocations by threads with a BufferReuse.
/// When adapters come and go, pages then need not be cleared, or fetched from a hypervisor, each time.
class BufferReuse {
public:
    BufferReuse();
    ~BufferReuse();

    BufferReuse(const BufferReuse &) = delete;
    BufferReuse & operator=(const BufferReuse &) = delete;
};

/// Returns buffers to the system that have been kept for that long.
void release_kept_buffers(std::chrono::milliseconds age);

} // namespace llamafu
