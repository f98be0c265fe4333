package io.llamafu;

import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;

class LlamafuExceptionTest {
    /** Flink's web page and many log layouts show the message alone. */
    @Test
    void messageHasTheCodeAndTheSentence() {
        LlamafuException failure = new LlamafuException(ErrorCode.MODEL_NOT_FOUND, "There is no model.");

        assertThat(failure).hasMessage("MODEL_NOT_FOUND: There is no model.");
        assertThat(failure.sentence()).isEqualTo("There is no model.");
        assertThat(failure).hasToString("io.llamafu.LlamafuException: MODEL_NOT_FOUND: There is no model.");
    }
}
