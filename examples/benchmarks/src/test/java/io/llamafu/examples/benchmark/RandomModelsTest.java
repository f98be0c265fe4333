package io.llamafu.examples.benchmark;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;

import static org.assertj.core.api.Assertions.assertThat;

/** A generated model is accepted by the engine and does exactly the work that a benchmark counts. */
class RandomModelsTest {
    private static final int PROMPT_TOKENS = 20;
    private static final int TOKENS = 24;

    @TempDir
    private Path folder;

    @Test
    void promptsAndAnswersHaveExactlyTheTokensAskedFor() throws Exception {
        RandomModels files = new RandomModels(folder);
        EngineOptions options = EngineOptions.builder(files.model(RandomModel.SMALL))
                .adapters(files.adapters(RandomModel.SMALL, 8, 1))
                .contextSize(PROMPT_TOKENS + TOKENS)
                .parallelSequences(1)
                .build();
        try (InferenceEngine engine =
                EngineCompetitor.requiredProvider("native").open(options)) {
            AdapterStack stack = AdapterStack.of(RandomModels.adapterName(0), 1);
            CompletionResult answer = engine.submit(
                            CompletionRequest.of(RandomVocabulary.prompt(PROMPT_TOKENS, 7), stack)
                                    .withMaxTokens(TOKENS))
                    .join();

            assertThat(answer.promptTokens()).isEqualTo(PROMPT_TOKENS);
            assertThat(answer.generatedTokens()).isEqualTo(TOKENS);
        }
    }

    @Test
    void filesAreGeneratedOnce() throws Exception {
        RandomModels files = new RandomModels(folder);
        Path adapter = files.adapters(RandomModel.SMALL, 8, 1).resolve("a00.gguf");
        FileTime old = FileTime.fromMillis(1_000_000);
        Files.setLastModifiedTime(adapter, old);

        files.adapters(RandomModel.SMALL, 8, 1);

        assertThat(Files.getLastModifiedTime(adapter)).isEqualTo(old);
        assertThat(Files.size(adapter))
                .isBetween(RandomModel.SMALL.adapterBytes(8), RandomModel.SMALL.adapterBytes(8) + 64 * 1024);
    }
}
