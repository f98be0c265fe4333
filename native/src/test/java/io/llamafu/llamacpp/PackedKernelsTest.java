package io.llamafu.llamacpp;

import io.llamafu.testing.Programs;
import org.junit.jupiter.api.Test;

import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/**
 * The packed kernels compute what the quantized weights say, and a row has the same bits whatever else is in its batch.
 * {@code src/test/cpp/packed_parity.cpp}, which the build of the library compiles, defines the comparison and its
 * tolerance.
 */
class PackedKernelsTest {
    private static final Path PROGRAM = Path.of("target", "native", "cmake", "packed_parity");

    @Test
    void rowsHaveTheSameBitsInEveryBatch() throws Exception {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        assertThat(PROGRAM).isExecutable();

        String output = Programs.run(PROGRAM.toAbsolutePath().toString());

        System.out.print(output);
        assertThat(output.stripTrailing()).endsWith("PASSED");
    }
}
