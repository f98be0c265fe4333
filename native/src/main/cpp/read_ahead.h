#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace llamafu {

/// Memory that is read soon.
struct Ahead {
    const uint8_t * from = nullptr;
    int64_t bytes = 0;
};

/// What a thread reads around a product besides its weights, in order. While it multiplies, a core has time to bring it into
/// its cache; when it is needed, the core would wait.
class ReadAhead {
public:
    /// Keeps the first pieces only.
    void add(const void * from, int64_t bytes) {
        if (count_ < pieces_.size() && bytes > 0) {
            pieces_[count_++] = { static_cast<const uint8_t *>(from), bytes };
        }
    }

    /// What is read after the last piece.
    void then(ReadAhead & next) { next_ = &next; }

    /// The next bytes of a piece, at most so many; none after the last piece.
    Ahead take(int64_t most) {
        if (taken_ == count_) {
            return next_ != nullptr ? next_->take(most) : Ahead {};
        }
        Ahead & piece = pieces_[taken_];
        const Ahead part { piece.from, std::min(most, piece.bytes) };
        piece = { piece.from + part.bytes, piece.bytes - part.bytes };
        taken_ += piece.bytes == 0;
        return part;
    }

private:
    std::array<Ahead, 64> pieces_;
    size_t count_ = 0;
    size_t taken_ = 0;
    ReadAhead * next_ = nullptr;
};

} // namespace llamafu
