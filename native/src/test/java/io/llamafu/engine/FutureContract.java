package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.failure;
import static org.assertj.core.api.Assertions.assertThat;

/** The promises of every engine about what callers do with the futures that they get. */
interface FutureContract extends EngineUnderTest {
    private static List<Consumer<CompletableFuture<CompletionResult>>> waysToComplete(CompletionResult other) {
        return List.of(
                future -> future.complete(other),
                future -> future.complete(null),
                future -> future.completeExceptionally(new IllegalStateException("not the engine's")),
                future -> future.completeOnTimeout(other, 0, TimeUnit.NANOSECONDS),
                future -> future.orTimeout(0, TimeUnit.NANOSECONDS),
                future -> future.obtrudeValue(other));
    }

    @Test
    default void whatACallerMakesOfItsFutureIsNobodyElsesAnswer() throws Exception {
        CompletionRequest request = CompletionRequest.of(PROMPT, MEDICAL);
        CompletionResult other = answer(engine(), CompletionRequest.of(TinyModel.prompt("knee pain"), MEDICAL));
        for (Consumer<CompletableFuture<CompletionResult>> complete : waysToComplete(other)) {
            try (HeldEngine held = HeldEngine.open(this, TinyModel.options().answerMemo(1 << 20))) {
                CompletableFuture<CompletionResult> completed = held.engine().submit(request);
                CompletableFuture<CompletionResult> waiting = held.engine().submit(request);
                complete.accept(completed);
                Await.until("it is complete", completed::isDone);
                held.letGo();

                assertThat(waiting.get(60, TimeUnit.SECONDS).text()).isEqualTo("cardiology; routine");
                assertThat(answer(held.engine(), request).text()).isEqualTo("cardiology; routine");
            }
        }
    }

    @Test
    default void requestWhoseFutureACallerCompletesIsNotComputed() throws Exception {
        CompletionResult other = answer(engine(), CompletionRequest.of(PROMPT, MEDICAL));
        try (HeldEngine held = HeldEngine.open(this)) {
            long before = held.engine().metrics().decoding().generatedTokens();
            List<Consumer<CompletableFuture<CompletionResult>>> ways = waysToComplete(other);
            for (Consumer<CompletableFuture<CompletionResult>> complete : ways) {
                complete.accept(held.engine().submit(CompletionRequest.of(PROMPT, MEDICAL)));
            }
            Await.until(
                    "all are given up", () -> held.engine().metrics().requests().failed() == ways.size());
            held.letGo();

            CompletionResult answered = answer(held.engine(), CompletionRequest.of(PROMPT, MEDICAL));
            assertThat(answered.text()).isEqualTo("cardiology; routine");
            assertThat(held.engine().metrics().decoding().generatedTokens() - before)
                    .as("one step of each at most")
                    .isLessThanOrEqualTo(answered.generatedTokens() + ways.size());
        }
    }

    @Test
    default void badArgumentsFailTheFutureInsteadOfTheCall() throws Exception {
        CompletionRequest good = CompletionRequest.of(PROMPT, MEDICAL);
        List<Duration> negative =
                List.of(Duration.ofSeconds(Long.MIN_VALUE), Duration.ofDays(-40_000), Duration.ofNanos(-1));

        assertThat(failure(engine().submit(null)).code()).isEqualTo(ErrorCode.INVALID_REQUEST);
        for (Duration duration : negative) {
            assertThat(failure(engine().submit(good.withTimeout(duration))))
                    .hasMessageContaining("timeout is " + duration)
                    .extracting(LlamafuException::code)
                    .isEqualTo(ErrorCode.INVALID_REQUEST);
            assertThat(failure(engine().submit(good.withPatience(duration))))
                    .hasMessageContaining("patience is " + duration)
                    .extracting(LlamafuException::code)
                    .isEqualTo(ErrorCode.INVALID_REQUEST);
        }
        assertThat(answer(engine(), good.withTimeout(Duration.ofSeconds(Long.MAX_VALUE)))
                        .text())
                .isEqualTo("cardiology; routine");
    }
}
