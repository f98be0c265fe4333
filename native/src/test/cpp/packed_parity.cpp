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
#include <string>
#include <utility>

using namespace llamafu;

/// packed_parity [SUBJECT | RECORDS [FORMAT]]: all checks, or those of one subject, or only the logits of that many and longer records.
int main(int argc, char ** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ); // in an emulator it takes minutes
    const std::pair<std::string, void (*)()> subjects[] = { { "products", check_products }, { "levels", check_levels },
                                                            { "attention", check_attention }, { "models", check_models } };
    try {
        if (best_packed_level() == PackedLevel::none) {
            std::puts("this machine has no packed kernels\nPASSED");
            return EXIT_SUCCESS;
        }
        use_packed_weights();
        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        int checked = 0;
        for (const auto & [name, check] : subjects) {
            if (argc == 1 || name == argv[1]) {
                check();
                ++checked;
            }
        }
        if (checked == 0) {
            const int records = std::atoi(argv[1]);
            require(records > 0, std::string(argv[1]) + " is neither a subject nor a number of records");
            check_long_records(records, argc > 2 ? argv[2] : nullptr);
        }
        std::puts("PASSED");
        return EXIT_SUCCESS;
    } catch (const std::exception & e) {
        std::printf("FAILED: %s\n", e.what());
        return EXIT_FAILURE;
    }
}
