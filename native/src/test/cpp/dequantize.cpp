// Writes a quantized model with floats for weights, so that tests can compare it with other implementations.
//   dequantize IN.gguf OUT.gguf f32|f16

#include "llama.h"

#include <cstdio>
#include <cstring>

int main(int argc, char ** argv) {
    const bool f16 = argc == 4 && std::strcmp(argv[3], "f16") == 0;
    if (argc != 4 || (!f16 && std::strcmp(argv[3], "f32") != 0)) {
        std::fprintf(stderr, "usage: dequantize IN.gguf OUT.gguf f32|f16\n");
        return 2;
    }
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) {
            std::fputs(text, stderr);
        }
    }, nullptr);
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = f16 ? LLAMA_FTYPE_MOSTLY_F16 : LLAMA_FTYPE_ALL_F32;
    params.allow_requantize = true;
    return static_cast<int>(llama_model_quantize(argv[1], argv[2], &params));
}
