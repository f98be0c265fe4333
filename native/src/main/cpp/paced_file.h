#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace llamafu {

/// An adapter file that is read with a pause after each MiB, in which other threads can use the processor.
class PacedFile {
public:
    /// Reading fails once `give_way` returns false. Throws CodedError if the file cannot be opened.
    PacedFile(const std::string & path, std::function<bool()> give_way);
    ~PacedFile();

    PacedFile(const PacedFile &) = delete;
    PacedFile & operator=(const PacedFile &) = delete;

    FILE * stream() { return stream_; }

private:
    static ssize_t read(void * self, char * bytes, size_t count);
    static int seek(void * self, off64_t * offset, int whence);

    int descriptor_;
    std::function<bool()> give_way_;
    std::vector<char> buffer_;
    off64_t size_ = 0;
    off64_t position_ = 0;
    bool sought_ = false;
    size_t until_pause_;
    FILE * stream_;
};

} // namespace llamafu
