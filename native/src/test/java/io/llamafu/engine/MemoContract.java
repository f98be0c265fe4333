package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.endless;
import static io.llamafu.engine.Answers.failure;
import static org.assertj.core.api.Assertions.assertThat;

/** The promises of every engine about identical requests, with its option {@code answer-memo} on. */
interface MemoContract extends EngineUnderTest {
    private InferenceEngine remembering(EngineOptions.Builder options) {
        return open(options.answerMemo(1 << 20).build());
    }

    @Test
    default void modelIsAskedOnceForIdenticalRequests() throws Exception {
        try (InferenceEngine engine = remembering(TinyModel.options())) {
            CompletionRequest request = CompletionRequest.of(PROMPT, MEDICAL);
            List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                answers.add(engine.submit(request.withTimeout(Duration.ofSeconds(60 + i))));
            }
            for (CompletableFuture<CompletionResult> answer : answers) {
                answer.get(1, TimeUnit.MINUTES);
            }
            CompletionResult first = answers.get(0).join();
            CompletionResult later = answer(engine, request);

            assertThat(answers).allSatisfy(answer -> {
                assertThat(answer.join().text()).isEqualTo(first.text());
                assertThat(answer.join().adapters()).isEqualTo(first.adapters());
            });
            assertThat(later.isRemembered()).isTrue();
            assertThat(later.text()).isEqualTo(first.text());
            Await.until("all are counted", () -> engine.metrics().requests().completed() == 21);
            EngineMetrics metrics = engine.metrics();
            assertThat(metrics.requests().memoHits()).isEqualTo(20);
            assertThat(metrics.decoding().generatedTokens()).isEqualTo(first.generatedTokens());
            assertThat(metrics.decoding().promptTokens()).isEqualTo(first.promptTokens());
        }
    }

    @Test
    default void adapterThatWasPublishedAnewIsNotAnsweredForByItsOldVersion(@TempDir Path folder) throws Exception {
        TinyModel.publish(folder, "swapped", "medical");
        EngineOptions.Builder options = TinyModel.options().adapters(folder).adapterRefreshInterval(Duration.ZERO);
        CompletionRequest request = CompletionRequest.of(PROMPT, AdapterStack.parse("swapped"));
        try (InferenceEngine engine = remembering(options)) {
            CompletionResult before = answer(engine, request);
            assertThat(answer(engine, request).isRemembered()).isTrue();
            TinyModel.publish(folder, "swapped", "legal");
            CompletionResult after = answer(engine, request);

            assertThat(after.isRemembered()).isFalse();
            assertThat(after.adapters()).isNotEqualTo(before.adapters());
            assertThat(after.text()).isNotEqualTo(before.text());
        }
    }

    /** The answer is made longer until the machine needs more time for it than the impatient request waits. */
    @Test
    default void requestOutlivesTheIdenticalOneThatItWaitedFor() throws Exception {
        try (InferenceEngine engine = remembering(TinyModel.longOptions(4))) {
            boolean cancelledInTime = false;
            for (int tokens = 400; !cancelledInTime; tokens *= 2) {
                assertThat(tokens).as("tokens within a millisecond").isLessThan(8000);
                CompletionRequest request = endless(tokens);
                CompletableFuture<CompletionResult> cancelled = engine.submit(request);
                Await.until(
                        "the model is asked",
                        () -> cancelled.isDone() || engine.metrics().sequences().active() == 1);
                CompletableFuture<CompletionResult> overdue = engine.submit(request.withPatience(Duration.ofMillis(1)));
                CompletableFuture<CompletionResult> patient = engine.submit(request);
                Await.until("it gives up or is answered", overdue::isDone);
                cancelledInTime = cancelled.cancel(false);

                assertThat(patient.get(1, TimeUnit.MINUTES).generatedTokens()).isEqualTo(tokens);
                if (cancelledInTime) {
                    assertThat(failure(overdue).code()).isEqualTo(ErrorCode.DEADLINE_EXCEEDED);
                    assertThat(answer(engine, request).isRemembered()).isTrue();
                }
            }
        }
    }

    @Test
    default void closingFailsThoseWhoWaitForAnIdenticalRequest() throws Exception {
        List<CompletableFuture<CompletionResult>> waiting = new ArrayList<>();
        try (InferenceEngine engine = remembering(TinyModel.longOptions(4))) {
            for (int i = 0; i < 10; i++) {
                waiting.add(engine.submit(endless()));
            }
            Await.until("the model is asked", () -> engine.metrics().sequences().active() > 0);
        }
        for (CompletableFuture<CompletionResult> one : waiting) {
            assertThat(failure(one).code()).isEqualTo(ErrorCode.ENGINE_CLOSED);
        }
    }
}
