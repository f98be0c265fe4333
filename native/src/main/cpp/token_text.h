#pragma once

#include "llama.h"

#include <string>

namespace llamafu {

/// The bytes of a token. Those of a control token are its name if `special`, else there are none, as in an answer.
std::string token_text(const llama_vocab * vocab, llama_token token, bool special);

} // namespace llamafu
