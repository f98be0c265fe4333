#pragma once

#include "llama.h"

#include <string>

namespace llamafu {

/// The bytes of a token. For a control token this is its name if `special`, else nothing, as in an answer.
std::string token_text(const llama_vocab * vocab, llama_token token, bool special);

} // namespace llamafu
