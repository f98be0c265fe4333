package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** Native memory over many openings of an engine, in a JVM whose own memory is constant. */
class EngineMemoryTest {
    private static final int WARM_UP = 50;
    private static final int CYCLES = 100;
    private static final long MOST_GROWTH = 30_000_000;

    @Test
    void hundredEnginesLeaveNoMemoryBehind() throws Exception {
        assertThat(Long.parseLong(OwnJvm.run(EngineMemoryTest.class, List.of(), 2)))
                .isLessThan(MOST_GROWTH);
    }

    /** Prints the growth of resident memory in bytes. */
    public static void main(String[] arguments) throws Exception {
        openAndClose(WARM_UP);
        long before = OwnJvm.residentBytes();
        openAndClose(CYCLES);
        System.out.println(OwnJvm.residentBytes() - before);
    }

    private static void openAndClose(int cycles) throws Exception {
        CompletionRequest request =
                CompletionRequest.of(TinyModel.prompt("Patient reports chest pain."), AdapterStack.parse("medical"));
        for (int i = 0; i < cycles; i++) {
            try (InferenceEngine engine =
                    LlamaCppEngine.open(TinyModel.options().build())) {
                CompletionResult answer = engine.submit(request).get(60, TimeUnit.SECONDS);
                assertThat(answer.text()).startsWith("cardiology");
            }
        }
    }
}
