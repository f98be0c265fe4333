package io.llamafu.peft;

import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.llamacpp.LlamaCppEngine;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The engine accepts a converted adapter and answers as with the one of its training. */
class ConvertedAdapterAnswersTest {
    private static final int SAMPLE = 300;

    @TempDir
    Path folder;

    @Test
    void answersTheGoldenPrompts() throws Exception {
        Files.copy(TinyModel.adapters().resolve("formal.gguf"), folder.resolve("formal.gguf"));
        ConvertedAdapter converted = PeftConverter.convert(
                TinyModel.folder().resolve("medical-peft"),
                folder.resolve("medical.gguf"),
                PeftBase.read(TinyModel.model()),
                WeightType.F16);
        List<Golden> sample = TinyModel.golden().stream()
                .filter(golden -> golden.stack().toString().startsWith("medical"))
                .limit(SAMPLE)
                .toList();
        assertThat(sample).hasSize(SAMPLE);

        int exact = 0;
        try (InferenceEngine engine =
                LlamaCppEngine.open(TinyModel.options().adapters(folder).build())) {
            List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
            for (Golden one : sample) {
                answers.add(engine.submit(
                        CompletionRequest.of(one.prompt(), one.stack()).withMaxTokens(60)));
            }
            for (int index = 0; index < SAMPLE; index++) {
                CompletionResult answer = answers.get(index).get(3, TimeUnit.MINUTES);
                assertThat(answer.adapters()).extracting(AppliedAdapter::digest).contains(converted.digest());
                exact += answer.text().equals(sample.get(index).expected()) ? 1 : 0;
            }
        }
        System.out.printf("converted: %d of %d golden answers%n", exact, SAMPLE);
        assertThat(exact).isGreaterThanOrEqualTo((int) (SAMPLE * 0.97));
    }
}
