package io.llamafu.chat;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.Prompt;
import io.llamafu.llamacpp.LlamaCppEngine;
import io.llamafu.testing.RealModels;
import org.junit.jupiter.api.Test;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** A real instruction-tuned model under the template of its file. */
class ChatAnswersTest {

    @Test
    void modelAnswersTheUsersTurnAndEndsItsOwn() {
        EngineOptions options = EngineOptions.builder(RealModels.smolLm2())
                .contextSize(256)
                .parallelSequences(1)
                .threads(2)
                .build();
        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            ChatTemplate template = ChatTemplate.of(
                    engine.modelChat().template().orElseThrow(),
                    engine.modelChat().specialTokens());
            Prompt prompt = template.render(
                    List.of(ChatMessage.user("What is the capital of France? Answer in one sentence.")),
                    ChatVariables.DEFAULT);

            CompletionResult answer = engine.submit(CompletionRequest.of(prompt, AdapterStack.base()))
                    .join();

            assertThat(answer.text()).contains("Paris").doesNotContain("<|im_end|>");
            assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
        }
    }
}
