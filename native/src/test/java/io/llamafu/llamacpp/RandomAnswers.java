package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.testing.ArchitectureModel;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Engines over {@link ArchitectureModel}s, and their answers. */
final class RandomAnswers {
    static final int SEQUENCES = 3;
    static final int CONTEXT = 640;

    /** The end token, the other control tokens, and the bytes that are no letter, digit or sign of ASCII. */
    private static final Map<Integer, Float> INVISIBLE = IntStream.range(0, ArchitectureModel.firstByte() + 256)
            .filter(token ->
                    token <= ArchitectureModel.firstByte() + ' ' || token > ArchitectureModel.firstByte() + '~')
            .boxed()
            .collect(Collectors.toMap(token -> token, token -> Float.NEGATIVE_INFINITY));

    private RandomAnswers() {}

    static EngineOptions.Builder options(Path model) {
        return EngineOptions.builder(model)
                .contextSize(CONTEXT)
                .parallelSequences(SEQUENCES)
                .batchSize(128)
                .threads(1);
    }

    /** Exactly this many tokens, each a visible character, so that different answers have different texts. */
    static CompletableFuture<CompletionResult> submit(InferenceEngine engine, String prompt, String stack, int tokens) {
        return engine.submit(CompletionRequest.of(prompt, AdapterStack.parse(stack))
                .withSampling(SamplingOptions.builder().logitBias(INVISIBLE).build())
                .withMaxTokens(tokens));
    }

    /**
     * Asserts that an answer begins like the expected one for longer than like the others. Rounding differs with the rows
     * of a batch; with random weights it can decide between two tokens, after which two answers have nothing in common.
     */
    static void assertIsRatherThan(String answer, String expected, List<String> others) {
        assertThat(others).as("of others than '%s'", answer).allSatisfy(other -> assertThat(common(answer, other))
                .isLessThan(common(answer, expected)));
    }

    private static int common(String left, String right) {
        int mismatch = Arrays.mismatch(left.toCharArray(), right.toCharArray());
        return mismatch < 0 ? left.length() : mismatch;
    }

    static CompletionResult get(CompletableFuture<CompletionResult> answer) throws Exception {
        return answer.get(60, TimeUnit.SECONDS);
    }

    static CompletionResult ask(InferenceEngine engine, String prompt, String stack, int tokens) throws Exception {
        return get(submit(engine, prompt, stack, tokens));
    }
}
