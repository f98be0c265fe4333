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
constexpr size_t buffer_bytes = 128 << 10;
constexpr size_t bytes_after_seek = 4 << 10; // llama.cpp seeks to the end and back for each name that it reads

[[noreturn]] void fail_to_open(const std::string & path) {
    throw CodedError("ADAPTER_LOAD_FAILED", path + " cannot be opened: " + std::strerror(errno) + ".");
}

} // namespace

PacedFile::PacedFile(const std::string & path, std::function<bool()> give_way)
    : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)), give_way_(std::move(give_way)), buffer_(buffer_bytes),
      until_pause_(part_bytes) {
    if (descriptor_ < 0) {
        fail_to_open(path);
    }
    size_ = lseek64(descriptor_, 0, SEEK_END);
    stream_ = fopencookie(this, "rb", {read, nullptr, seek, nullptr});
    if (stream_ == nullptr) {
        close(descriptor_);
        fail_to_open(path);
    }
    setvbuf(stream_, buffer_.data(), _IOFBF, buffer_.size()); // the C library reads such a stream only through its buffer
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
    const size_t most = std::min(file.until_pause_, file.sought_ ? bytes_after_seek : count);
    const ssize_t result = pread64(file.descriptor_, bytes, std::min(count, most), file.position_);
    file.sought_ = false;
    if (result > 0) {
        file.position_ += result;
        file.until_pause_ -= static_cast<size_t>(result);
    }
    return result;
}

int PacedFile::seek(void * self, off64_t * offset, int whence) {
    PacedFile & file = *static_cast<PacedFile *>(self);
    const off64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file.position_ : file.size_;
    if (*offset < -base) {
        errno = EINVAL;
        return -1;
    }
    file.position_ = base + *offset;
    file.sought_ = true;
    *offset = file.position_;
    return 0;
}

} // namespace llamafu
