package io.llamafu.llamacpp;

import io.llamafu.testing.Programs;
import org.junit.jupiter.api.Test;

import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/**
 * Sequences with different adapters in one batch get the logits that llama.cpp's own LoRA gives each of them alone.
 * {@code src/test/cpp/lora_parity.cpp}, which the build of the library compiles, defines the comparison and its
 * tolerance.
 */
class LoraParityTest {
    private static final Path PROGRAM = Path.of("target", "native", "cmake", "lora_parity");

    @Test
    void mixedBatchHasTheLogitsOfEachStackAlone() throws Exception {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        assertThat(PROGRAM).isExecutable();

        String output = Programs.run(PROGRAM.toAbsolutePath().toString());

        System.out.print(output);
        assertThat(output.stripTrailing()).endsWith("PASSED");
    }
}
