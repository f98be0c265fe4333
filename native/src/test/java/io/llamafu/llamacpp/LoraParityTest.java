package io.llamafu.llamacpp;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/**
 * Sequences with different adapters in one batch have the logits that llama.cpp's own LoRA gives each of them alone. What
 * is compared, and how closely, is in {@code src/test/cpp/lora_parity.cpp}, which the build of the library compiles.
 */
class LoraParityTest {
    private static final Path PROGRAM = Path.of("target", "native", "cmake", "lora_parity");

    @Test
    void mixedBatchHasTheLogitsOfEachStackAlone() throws IOException, InterruptedException {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        assertThat(PROGRAM).isExecutable();

        Process process = new ProcessBuilder(PROGRAM.toAbsolutePath().toString())
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        System.out.print(output);

        assertThat(process.waitFor()).as(output).isZero();
        assertThat(output.stripTrailing()).endsWith("PASSED");
    }
}
