package io.llamafu.llamacpp;

import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

class GoldenAnswersTest {

    /** 2,998 are exact with llama-server, one request at a time; batching may tip a few near ties. */
    @ParameterizedTest
    @EnumSource(LoraBatching.class)
    void everyPromptIsAnsweredByItsOwnStackWhateverElseIsInTheBatch(LoraBatching batching) throws Exception {
        List<Golden> golden = new ArrayList<>(TinyModel.golden());
        Collections.shuffle(golden, new Random(7));

        int exact = 0;
        try (InferenceEngine engine =
                LlamaCppEngine.open(TinyModel.options().loraBatching(batching).build())) {
            List<CompletableFuture<Completion>> answers = new ArrayList<>();
            for (Golden one : golden) {
                answers.add(engine.submit(
                        CompletionRequest.of(one.prompt(), one.stack()).withMaxTokens(60)));
            }
            for (int i = 0; i < golden.size(); i++) {
                Completion answer = answers.get(i).get(3, TimeUnit.MINUTES);
                exact += answer.text().equals(golden.get(i).expected()) ? 1 : 0;
            }
            assertThat(engine.metrics().activeSequences()).isZero();
            assertThat(engine.metrics().completions()).isEqualTo(golden.size());
        }
        assertThat(golden).hasSize(3000);
        assertThat(exact).isGreaterThanOrEqualTo(2990);
    }
}
