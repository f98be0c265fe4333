#pragma once

// What the files of the program packed_parity share: each has checks of one subject, which throw what they find.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
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

/// Nearly normal, and the same bits on every machine: sums of integers are exact.
inline std::vector<float> random_values(size_t count, uint32_t seed) {
    constexpr int summands = 12; // each of variance 1 / 12
    std::mt19937 random(seed);
    std::vector<float> values(count);
    for (float & value : values) {
        int64_t sum = -(int64_t{summands / 2} << 32);
        for (int i = 0; i < summands; ++i) {
            sum += random();
        }
        value = static_cast<float>(sum) * 0x1p-32f;
    }
    return values;
}

/// A digest of bits, which other machines print as well.
class Digest {
public:
    void add(const std::vector<float> & values) {
        for (float value : values) {
            uint32_t bits;
            std::memcpy(&bits, &value, sizeof bits);
            hash_ = (hash_ ^ bits) * 0x100000001b3u;
        }
    }

    std::string text() const {
        char text[17];
        std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash_));
        return text;
    }

private:
    uint64_t hash_ = 0xcbf29ce484222325u;
};

inline std::string digest_of(const std::vector<float> & values) {
    Digest digest;
    digest.add(values);
    return digest.text();
}

void check_products();
void check_levels();
void check_attention();
void check_models();

/// So many records of up to 900 tokens for each of the formats that most files have, or of one format.
void check_long_records(int count, const char * format);

} // namespace llamafu
