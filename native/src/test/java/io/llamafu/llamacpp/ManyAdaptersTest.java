package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** A stream that names ever new adapters does not fill the memory, without any option. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class ManyAdaptersTest {
    private static final int ADAPTERS = 1000;
    private static final int AT_A_TIME = 32;
    private static final long LEAST_BUDGET = 64L << 20;
    private static final String PROMPT = TinyModel.prompt("Refund of a ticket to Vienna");

    @TempDir
    Path folder;

    @AfterEach
    void releaseMemory() {
        SharedEngines.reserve(0);
    }

    @Test
    void defaultBudgetIsHalfOfWhatIsLeft() {
        long left = 3L << 30;
        try (InferenceEngine engine = LlamaCppEngine.open(TinyModel.options().build())) {
            EngineMetrics.Memory memory = engine.metrics().memory();
            SharedEngines.reserve(SharedEngines.bytesLeftFor(TinyModel.options().build()) - left);
            try (InferenceEngine other = LlamaCppEngine.open(TinyModel.options().build())) {
                assertThat(other.metrics().adapters().budget()).isEqualTo((left - memory.total()) / 2);
            }
        }
    }

    @Test
    void zeroIsNoLimit() {
        try (InferenceEngine engine =
                LlamaCppEngine.open(TinyModel.options().adapterMemoryBudget(0).build())) {
            assertThat(engine.metrics().adapters().budget()).isZero();
        }
    }

    @Test
    void thousandAdaptersStayWithinTheDefaultBudgetOfAFullMachine() throws Exception {
        publishCopies();
        SharedEngines.reserve(Long.MAX_VALUE / 2);
        try (InferenceEngine engine =
                LlamaCppEngine.open(TinyModel.options().adapters(folder).build())) {
            assertThat(engine.metrics().adapters().budget()).isEqualTo(LEAST_BUDGET);
            String expected = answer(engine, 0).join().text();
            for (int first = 0; first < ADAPTERS; first += AT_A_TIME) {
                List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
                for (int number = first; number < Math.min(first + AT_A_TIME, ADAPTERS); number++) {
                    answers.add(answer(engine, number));
                }
                for (CompletableFuture<CompletionResult> answer : answers) {
                    assertThat(answer.join().text()).isEqualTo(expected);
                }
                assertThat(engine.metrics().memory().adapters()).isLessThanOrEqualTo(LEAST_BUDGET);
            }
            assertThat(engine.metrics().adapters().loads()).isEqualTo(ADAPTERS);
            assertThat(engine.metrics().adapters().evictions()).isPositive();
        }
    }

    private static CompletableFuture<CompletionResult> answer(InferenceEngine engine, int number) {
        return engine.submit(CompletionRequest.of(PROMPT, AdapterStack.of("tenant-" + number))
                .withMaxTokens(4));
    }

    /** Of one adapter; the last weight of each differs a little. */
    private void publishCopies() throws IOException {
        byte[] content = Files.readAllBytes(TinyModel.adapters().resolve("medical.gguf"));
        for (int number = 0; number < ADAPTERS; number++) {
            content[content.length - 2] = (byte) number;
            content[content.length - 4] = (byte) (number >> Byte.SIZE);
            Files.write(folder.resolve("tenant-" + number + ".gguf"), content);
        }
    }
}
