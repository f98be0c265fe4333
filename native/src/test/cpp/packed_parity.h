#pragma once

// What the files of the program packed_parity share: each has checks of one subject, which throw what they find.

#include <cstddef>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace llamafu {

constexpr double tolerance = 1e-5; // of the sum of the products' magnitudes

inline void require(bool condition, const std::string & what) {
    if (!condition) {
        throw std::runtime_error(what);
    }
}

inline std::vector<float> random_values(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float & value : values) {
        value = normal(random);
    }
    return values;
}

void check_products();
void check_levels();
void check_attention();
void check_models();

/// So many records of up to 900 tokens for each of the formats that most files have, or of one format.
void check_long_records(int count, const char * format);

} // namespace llamafu
