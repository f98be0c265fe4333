// Compares what our kernels compute with the same in double precision, and demands the same bits of a row alone and in batches,
// with any number of threads and every instruction set, from single products up to the logits of random models. What has no
// packed form must stay as llama.cpp computes it.

#include "packed_parity.h"

#include "packed_kernels.h"
#include "packed_weights.h"

#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <exception>

using namespace llamafu;

/// packed_parity [RECORDS [FORMAT]]: all checks, or only the logits of that many and longer records.
int main(int argc, char ** argv) {
    try {
        if (best_packed_level() == PackedLevel::none) {
            std::puts("this machine has no packed kernels\nPASSED");
            return EXIT_SUCCESS;
        }
        use_packed_weights();
        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        if (argc > 1) {
            check_long_records(std::atoi(argv[1]), argc > 2 ? argv[2] : nullptr);
        } else {
            check_products();
            check_levels();
            check_attention();
            check_models();
        }
        std::puts("PASSED");
        return EXIT_SUCCESS;
    } catch (const std::exception & e) {
        std::printf("FAILED: %s\n", e.what());
        return EXIT_FAILURE;
    }
}
