#include "token_text.h"

#include <algorithm>

namespace llamafu {

std::string token_text(const llama_vocab * vocab, llama_token token, bool special) {
    std::string bytes(64, '\0');
    const auto write = [&] {
        return llama_token_to_piece(vocab, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0, special);
    };
    int32_t size = write();
    if (size < 0) { // there are more bytes
        bytes.resize(static_cast<size_t>(-size));
        size = write();
    }
    bytes.resize(static_cast<size_t>(std::max(size, 0)));
    return bytes;
}

} // namespace llamafu
