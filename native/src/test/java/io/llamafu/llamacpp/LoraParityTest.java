package io.llamafu.llamacpp;

import org.junit.jupiter.api.Test;

/**
 * Sequences with different adapters in one batch get the logits that llama.cpp's own LoRA gives each of them alone.
 * {@code src/test/cpp/lora_parity.cpp}, which the build of the library compiles, defines the comparison and its
 * tolerance.
 */
class LoraParityTest {
    @Test
    void mixedBatchHasTheLogitsOfEachStackAlone() throws Exception {
        ParityProgram.assertPasses("lora_parity");
    }
}
