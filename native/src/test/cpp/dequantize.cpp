// Writes a quantized model with floats or 8-bit integers for weights, so that tests can compare it with other implementations.
//   dequantize IN.gguf OUT.gguf f32|f16|q8_0

#include "llama.h"

#include <cstdio>
#include <cstring>

static llama_ftype file_type(const char * name) {
    if (std::strcmp(name, "f32") == 0) {
        return LLAMA_FTYPE_ALL_F32;
    }
    if (std::strcmp(name, "f16") == 0) {
        return LLAMA_FTYPE_MOSTLY_F16;
    }
    return std::strcmp(name, "q8_0") == 0 ? LLAMA_FTYPE_MOSTLY_Q8_0 : LLAMA_FTYPE_GUESSED;
}

int main(int argc, char ** argv) {
    const llama_ftype type = argc == 4 ? file_type(argv[3]) : LLAMA_FTYPE_GUESSED;
    if (type == LLAMA_FTYPE_GUESSED) {
        std::fprintf(stderr, "usage: dequantize IN.gguf OUT.gguf f32|f16|q8_0\n");
        return 2;
    }
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) {
            std::fputs(text, stderr);
        }
    }, nullptr);
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = type;
    params.allow_requantize = true;
    return static_cast<int>(llama_model_quantize(argv[1], argv[2], &params));
}
