package io.llamafu.llamacpp;

import org.junit.jupiter.api.Test;

/**
 * The packed kernels compute what the quantized weights say, and a row has the same bits whatever else is in its batch.
 * {@code src/test/cpp/packed_parity.cpp}, which the build of the library compiles, defines the comparison and its
 * tolerance.
 */
class PackedKernelsTest {
    @Test
    void rowsHaveTheSameBitsInEveryBatch() throws Exception {
        ParityProgram.assertPasses("packed_parity");
    }
}
