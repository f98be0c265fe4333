package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.awaitActive;
import static io.llamafu.engine.Answers.endless;
import static io.llamafu.engine.Answers.failure;
import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The promises of every engine about requests without an answer, and engines that do not open. */
interface RequestContract extends EngineUnderTest {
    @Test
    default void promptLongerThanASequenceIsRefused() throws Exception {
        LlamafuException failure =
                failure(engine().submit(CompletionRequest.of(TinyModel.prompt("pain ".repeat(600)), MEDICAL)));

        assertThat(failure.code()).isEqualTo(ErrorCode.PROMPT_TOO_LONG);
        assertThat(failure).hasMessageContaining("512");
    }

    @Test
    default void promptThatJustFitsIsAnswered() throws Exception {
        String text = "chest pain ";
        String prompt = PROMPT;
        while (answerable(prompt + text)) {
            prompt = prompt + text;
        }
        CompletionResult answer = answer(engine(), CompletionRequest.of(prompt, MEDICAL));

        assertThat(answer.promptTokens()).isBetween(490, 511);
    }

    /** Up to the last token that a sequence holds, with and without a prefix cache. */
    @Test
    default void promptThatLeavesRoomForATokenGetsOne() throws Exception {
        StringBuilder prompt = new StringBuilder(PROMPT);
        while (engine().countTokens(prompt.toString()) < 509) {
            prompt.append("e");
        }
        for (int tokens = engine().countTokens(prompt.toString()); tokens <= 512; ) {
            for (int twice = 0; twice < 2; twice++) {
                CompletableFuture<CompletionResult> answer = engine().submit(
                                CompletionRequest.of(prompt.toString(), MEDICAL).withMaxTokens(5));
                if (tokens == 512) {
                    assertThat(failure(answer).code()).isEqualTo(ErrorCode.PROMPT_TOO_LONG);
                } else {
                    assertThat(answer.get(60, TimeUnit.SECONDS).generatedTokens())
                            .as("a prompt of %d tokens", tokens)
                            .isBetween(1, 512 - tokens);
                }
            }
            while (engine().countTokens(prompt.toString()) == tokens) {
                prompt.append("e");
            }
            tokens = engine().countTokens(prompt.toString());
        }
    }

    private boolean answerable(String prompt) throws Exception {
        CompletableFuture<CompletionResult> future =
                engine().submit(CompletionRequest.of(prompt, MEDICAL).withMaxTokens(1));
        try {
            future.get(60, TimeUnit.SECONDS);
            return true;
        } catch (ExecutionException e) {
            return false;
        }
    }

    @Test
    default void badRequestsGetACode() throws Exception {
        CompletionRequest good = CompletionRequest.of(PROMPT, MEDICAL);
        SamplingOptions badGrammar =
                SamplingOptions.builder().grammar("root ::= (").build();
        SamplingOptions deepGrammar = SamplingOptions.builder()
                .grammar("root ::= " + "(".repeat(100_000))
                .build();
        SamplingOptions rootless =
                SamplingOptions.builder().grammar("other ::= \"x\"").build();
        SamplingOptions unknownToken =
                SamplingOptions.builder().logitBias(Map.of(99_999, 1f)).build();

        assertThat(codeOf(CompletionRequest.of("", MEDICAL))).isEqualTo(ErrorCode.INVALID_REQUEST);
        assertThat(codeOf(CompletionRequest.of("a\uD83D", MEDICAL))).isEqualTo(ErrorCode.INVALID_TEXT);
        assertThat(codeOf(good.withStop("\uDE00"))).isEqualTo(ErrorCode.INVALID_TEXT);
        assertThat(codeOf(good.withStop(""))).isEqualTo(ErrorCode.INVALID_REQUEST);
        assertThat(codeOf(good.withMaxTokens(0))).isEqualTo(ErrorCode.INVALID_REQUEST);
        assertThat(codeOf(good.withTimeout(Duration.ZERO))).isEqualTo(ErrorCode.INVALID_REQUEST);
        assertThat(codeOf(good.withSampling(badGrammar))).isEqualTo(ErrorCode.INVALID_GRAMMAR);
        assertThat(codeOf(good.withSampling(deepGrammar))).isEqualTo(ErrorCode.INVALID_GRAMMAR);
        assertThat(codeOf(good.withSampling(rootless))).isEqualTo(ErrorCode.INVALID_GRAMMAR);
        assertThat(codeOf(good.withSampling(unknownToken))).isEqualTo(ErrorCode.INVALID_OPTION);
        assertThat(codeOf(CompletionRequest.of(PROMPT, AdapterStack.parse("nobody"))))
                .isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);
        assertThat(answer(engine(), good).text()).isEqualTo("cardiology; routine");
    }

    @Test
    @Timeout(value = 5, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    default void grammarsThatTakeTooMuchWorkAreRefused() throws Exception {
        for (String grammar : CostlyGrammars.all()) {
            SamplingOptions sampling =
                    SamplingOptions.builder().grammar(grammar).build();
            CompletionRequest request = CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling);

            assertThat(codeOf(request))
                    .as(grammar.substring(0, Math.min(200, grammar.length())))
                    .isEqualTo(ErrorCode.INVALID_GRAMMAR);
        }
        assertThat(answer(engine(), CompletionRequest.of(PROMPT, MEDICAL)).text())
                .isEqualTo("cardiology; routine");
    }

    @Test
    @Timeout(value = 5, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    default void megabytesOfTextAreRefusedWithoutTokenizingThemAll() throws Exception {
        for (String text : List.of("chest pain ", "<s>", "</s> ", "a", "\u6f22")) {
            String prompt = text.repeat(5_000_000 / text.length());

            assertThat(codeOf(CompletionRequest.of(prompt, MEDICAL))).isEqualTo(ErrorCode.PROMPT_TOO_LONG);
        }
        assertThat(answer(engine(), CompletionRequest.of(PROMPT, MEDICAL)).text())
                .isEqualTo("cardiology; routine");
    }

    private ErrorCode codeOf(CompletionRequest request) throws Exception {
        return failure(engine().submit(request)).code();
    }

    @Test
    default void cancelledRequestFreesItsSequence() throws Exception {
        try (InferenceEngine single = open(TinyModel.longOptions(1).build())) {
            CompletableFuture<CompletionResult> busy = single.submit(endless());
            awaitActive(single, 1);
            CompletableFuture<CompletionResult> next = single.submit(CompletionRequest.of(PROMPT, MEDICAL));

            assertThat(busy.cancel(true)).isTrue();

            assertThat(next.get(60, TimeUnit.SECONDS).text()).isEqualTo("cardiology; routine");
            assertThatThrownBy(busy::join).isInstanceOf(CancellationException.class);
            awaitActive(single, 0);
        }
    }

    @Test
    default void cancelledRequestDoesNotWaitInTheQueue() throws Exception {
        try (InferenceEngine single = open(TinyModel.longOptions(1).build())) {
            CompletableFuture<CompletionResult> busy = single.submit(endless());
            awaitActive(single, 1);
            CompletableFuture<CompletionResult> waiting = single.submit(endless());
            assertThat(waiting.cancel(true)).isTrue();

            Await.until("nobody waits", () -> single.metrics().requests().waiting() == 0);
            assertThat(busy).isNotDone();
            busy.cancel(true);
            awaitActive(single, 0);
            assertThat(single.metrics().requests().failed()).isEqualTo(2);
        }
    }

    @Test
    default void deadlineEndsRunningAndWaitingRequests() throws Exception {
        try (InferenceEngine single = open(TinyModel.longOptions(1).build())) {
            Duration timeout = Duration.ofMillis(10);
            // a slow machine may need more time for the first token
            while (single.metrics().decoding().generatedTokens() == 0) {
                timeout = timeout.multipliedBy(2);
                CompletableFuture<CompletionResult> running =
                        single.submit(endless().withTimeout(timeout));
                CompletableFuture<CompletionResult> waiting =
                        single.submit(endless().withTimeout(timeout));

                assertThat(failure(waiting).code()).isEqualTo(ErrorCode.DEADLINE_EXCEEDED);
                assertThat(failure(running).code()).isEqualTo(ErrorCode.DEADLINE_EXCEEDED);
                awaitActive(single, 0);
            }
            assertThat(answer(single, CompletionRequest.of(PROMPT, MEDICAL)).text())
                    .isEqualTo("cardiology; routine");
        }
    }

    /** It waits for longer than its timeout, which is doubled until the machine is fast enough to answer within it. */
    @Test
    default void waitForOthersIsNoPartOfTheTimeout() throws Exception {
        try (InferenceEngine single = open(TinyModel.longOptions(1).build())) {
            boolean answered = false;
            for (Duration timeout = Duration.ofMillis(100); !answered; timeout = timeout.multipliedBy(2)) {
                assertThat(timeout).as("the timeout that the wait used up").isLessThan(Duration.ofMinutes(1));
                CompletableFuture<CompletionResult> busy = single.submit(endless());
                awaitActive(single, 1);
                CompletableFuture<CompletionResult> waiting =
                        single.submit(endless(40).withTimeout(timeout));
                Thread.sleep(timeout.toMillis() + 1);
                busy.cancel(true);
                try {
                    assertThat(waiting.get(60, TimeUnit.SECONDS).generatedTokens())
                            .isEqualTo(40);
                    answered = true;
                } catch (ExecutionException e) {
                    assertThat(failure(waiting).code()).isEqualTo(ErrorCode.DEADLINE_EXCEEDED);
                }
            }
        }
    }

    @Test
    default void closeUnderLoadCompletesEveryRequest() throws Exception {
        InferenceEngine loaded = open(TinyModel.longOptions(4).build());
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            AdapterStack stack = AdapterStack.parse(i % 3 == 0 ? "medical" : i % 3 == 1 ? "legal+formal" : "");
            answers.add(loaded.submit(endless()));
            answers.add(loaded.submit(CompletionRequest.of(PROMPT, stack)));
        }
        awaitActive(loaded, 4);

        loaded.close();

        for (CompletableFuture<CompletionResult> answer : answers) {
            assertThat(answer).isDone();
            if (answer.isCompletedExceptionally()) {
                assertThat(failure(answer).code()).isEqualTo(ErrorCode.ENGINE_CLOSED);
            }
        }
        assertThat(loaded.isOpen()).isFalse();
        assertThat(failure(loaded.submit(endless(3))).code()).isEqualTo(ErrorCode.ENGINE_CLOSED);
        loaded.close();
    }

    @Test
    default void openingFailsWithACode(@TempDir Path folder) throws Exception {
        Path text = Files.writeString(folder.resolve("model.gguf"), "not a model");
        EngineOptions.Builder missing = EngineOptions.builder(folder.resolve("none.gguf"));
        EngineOptions.Builder adapter =
                EngineOptions.builder(TinyModel.adapters().resolve("medical.gguf"));

        assertFails(() -> open(missing.build()).close(), ErrorCode.MODEL_NOT_FOUND);
        assertFails(() -> open(EngineOptions.builder(folder).build()).close(), ErrorCode.MODEL_NOT_FOUND);
        assertFails(() -> open(EngineOptions.builder(text).build()).close(), ErrorCode.MODEL_INVALID);
        assertFails(() -> open(adapter.build()).close(), ErrorCode.MODEL_INVALID);
        assertFails(() -> open(TinyModel.options().memoryBudget(1000).build()).close(), ErrorCode.OUT_OF_MEMORY);
        assertFails(
                () -> open(TinyModel.options().memoryBudget(2_000_000).build()).close(), ErrorCode.OUT_OF_MEMORY);
    }
}
