#pragma once

#include <chrono>

namespace llamafu {

/// While one lives, large buffers that its thread frees are kept for those that it or another such thread allocates next:
/// of adapters that come and go, the pages need not be cleared, or even be got from a hypervisor, each time.
class BufferReuse {
public:
    BufferReuse();
    ~BufferReuse();

    BufferReuse(const BufferReuse &) = delete;
    BufferReuse & operator=(const BufferReuse &) = delete;
};

/// Gives buffers to the system that have been kept for that long.
void release_kept_buffers(std::chrono::milliseconds age);

} // namespace llamafu
