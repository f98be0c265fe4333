#include "paced_file.h"

#include "jni_support.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace llamafu {

namespace {

constexpr size_t part_bytes = 1 << 20;

[[noreturn]] void fail_to_open(const std::string & path) {
    throw CodedError("ADAPTER_LOAD_FAILED", path + " cannot be opened: " + std::strerror(errno) + ".");
}

} // namespace

PacedFile::PacedFile(const std::string & path, std::function<bool()> give_way)
    : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)), give_way_(std::move(give_way)), until_pause_(part_bytes) {
    if (descriptor_ < 0) {
        fail_to_open(path);
    }
    stream_ = fopencookie(this, "rb", {read, nullptr, seek, nullptr});
    if (stream_ == nullptr) {
        close(descriptor_);
        fail_to_open(path);
    }
}

PacedFile::~PacedFile() {
    fclose(stream_);
    close(descriptor_);
}

ssize_t PacedFile::read(void * self, char * bytes, size_t count) {
    PacedFile & file = *static_cast<PacedFile *>(self);
    if (file.until_pause_ == 0) {
        if (!file.give_way_()) {
            errno = ECANCELED;
            return -1;
        }
        file.until_pause_ = part_bytes;
    }
    const ssize_t result = ::read(file.descriptor_, bytes, std::min(count, file.until_pause_));
    if (result > 0) {
        file.until_pause_ -= static_cast<size_t>(result);
    }
    return result;
}

int PacedFile::seek(void * self, off64_t * offset, int whence) {
    const off64_t position = lseek64(static_cast<PacedFile *>(self)->descriptor_, *offset, whence);
    if (position < 0) {
        return -1;
    }
    *offset = position;
    return 0;
}

} // namespace llamafu
