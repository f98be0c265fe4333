package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

class LlamaContextTest {
    @Test
    void failuresOfSequencesEndAtLineFeedsOnly() {
        assertThat(LlamaContext.failures("ENGINE_FAILED text with a\rcarriage return\nGRAMMAR_TOO_COMPLEX other\n"))
                .extracting(LlamafuException::code, LlamafuException::sentence)
                .containsExactly(
                        tuple(ErrorCode.ENGINE_FAILED, "text with a\rcarriage return"),
                        tuple(ErrorCode.GRAMMAR_TOO_COMPLEX, "other"));
    }
}
