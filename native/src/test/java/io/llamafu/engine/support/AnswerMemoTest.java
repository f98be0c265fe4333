package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.testing.StubEngine;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;

/** The test itself answers for the model. */
class AnswerMemoTest {
    private static final long ENOUGH = 1 << 20;
    private static final SamplingOptions GREEDY = SamplingOptions.greedy();

    private AnswerMemo memo = new AnswerMemo(ENOUGH);

    /** A request that counts how often it was given to the model, and disposed of unasked. */
    private final class Request {
        private final CompletableFuture<CompletionResult> future = new CompletableFuture<>();
        private final AtomicInteger asked = new AtomicInteger();
        private final AtomicInteger disposed = new AtomicInteger();

        private Request(AnswerMemo.Question question) {
            AnswerMemo.Asker asker =
                    new AnswerMemo.Asker(future, System.nanoTime(), asked::incrementAndGet, disposed::incrementAndGet);
            if (memo.mustAsk(question, asker)) {
                asked.incrementAndGet();
            }
        }

        private void answer(String text) {
            future.complete(completion(text));
        }

        private void assertAsked() {
            assertThat(asked).hasValue(1);
            assertThat(disposed).hasValue(0);
        }

        private void assertWaits() {
            assertThat(future).isNotDone();
            assertThat(asked).hasValue(0);
            assertThat(disposed).hasValue(0);
        }

        private void assertAnsweredWithoutTheModel(String text) {
            assertThat(future.join().text()).isEqualTo(text);
            assertThat(future.join().isRemembered()).isTrue();
            assertThat(asked).hasValue(0);
            assertThat(disposed).hasValue(1);
        }
    }

    private static CompletionResult completion(String text) {
        return new CompletionResult(
                text,
                FinishReason.END_OF_GENERATION,
                5,
                2,
                3,
                List.of(),
                StubEngine.COMPUTATION,
                new CompletionResult.Timings(1, 2, 3));
    }

    private static AnswerMemo.Question question(String prompt) {
        return question(prompt, GREEDY);
    }

    private static AnswerMemo.Question question(String prompt, SamplingOptions sampling) {
        return new AnswerMemo.Question(prompt, 2L * prompt.length(), List.of(), sampling, 10, List.of());
    }

    private Request ask(String prompt) {
        return new Request(question(prompt));
    }

    @Test
    void questionThatWasAnsweredIsAnsweredAgainWithoutTheModel() {
        Request first = ask("a");
        first.answer("A");
        Request again = ask("a");

        again.assertAnsweredWithoutTheModel("A");
        CompletionResult answer = again.future.join();
        assertThat(answer.cachedPromptTokens()).isEqualTo(answer.promptTokens());
        assertThat(answer.generatedTokens()).isEqualTo(3);
        assertThat(answer.timings().totalMillis())
                .as("its own time")
                .isEqualTo(answer.timings().queueMillis())
                .isNotEqualTo(3);
        assertThat(first.future.join().isRemembered()).isFalse();
        assertThat(memo.hits()).isEqualTo(1);
    }

    @Test
    void identicalQuestionsOnTheirWayAreAskedOnce() {
        Request first = ask("a");
        Request second = ask("a");
        Request third = ask("a");
        second.assertWaits();
        first.answer("A");

        first.assertAsked();
        second.assertAnsweredWithoutTheModel("A");
        third.assertAnsweredWithoutTheModel("A");
        assertThat(memo.hits()).isEqualTo(2);
    }

    @Test
    void whoWaitsIsAskedWhenTheOneHeWaitsForFailsOrGivesUp() {
        Request cancelled = ask("a");
        Request failed = ask("a");
        Request gaveUp = ask("a");
        Request last = ask("a");

        cancelled.future.cancel(false);
        failed.assertAsked();
        gaveUp.assertWaits();
        gaveUp.future.cancel(false);
        assertThat(gaveUp.disposed).hasValue(1);
        failed.future.completeExceptionally(new LlamafuException(ErrorCode.DEADLINE_EXCEEDED, "late"));
        last.assertAsked();
        last.answer("A");

        assertThat(last.future.join().isRemembered()).isFalse();
        assertThat(gaveUp.asked).hasValue(0);
        ask("a").assertAnsweredWithoutTheModel("A");
    }

    @Test
    void whoWaitsForAQuestionThatFailsIsAskedAtOnceWithTheOthers() {
        Request failed = ask("a");
        List<Request> waiting = List.of(ask("a"), ask("a"), ask("a"));
        failed.future.completeExceptionally(new LlamafuException(ErrorCode.DEADLINE_EXCEEDED, "late"));

        waiting.forEach(Request::assertAsked);
        ask("a").assertAsked();
    }

    @Test
    void whoWaitsMayGiveUpWithoutTheOthers() {
        Request first = ask("a");
        Request second = ask("a");
        Request third = ask("a");
        second.future.completeExceptionally(new LlamafuException(ErrorCode.DEADLINE_EXCEEDED, "late"));
        assertThat(first.future).isNotDone();
        first.answer("A");
        third.assertAnsweredWithoutTheModel("A");
        assertThat(second.disposed).hasValue(1);
    }

    @Test
    void failuresAreNotRemembered() {
        ask("a").future.completeExceptionally(new LlamafuException(ErrorCode.ENGINE_FAILED, "no"));
        ask("a").assertAsked();
    }

    @Test
    void whateverDecidesAnAnswerMakesAnotherQuestion() {
        AppliedAdapter medical = new AppliedAdapter("medical", 1, "digest");
        List<AnswerMemo.Question> questions = List.of(
                question("a"),
                question("b"),
                question("a", GREEDY.withGrammar("root ::= \"x\"")),
                question("a", SamplingOptions.builder().temperature(0.5f).build()),
                question(
                        "a", SamplingOptions.builder().temperature(0.5f).seed(7).build()),
                new AnswerMemo.Question("a", 2, List.of(), GREEDY, 11, List.of()),
                new AnswerMemo.Question("a", 2, List.of(), GREEDY, 10, List.of("END")),
                new AnswerMemo.Question("a", 2, List.of(medical), GREEDY, 10, List.of()),
                new AnswerMemo.Question(
                        "a", 2, List.of(new AppliedAdapter("medical", 0.5f, "digest")), GREEDY, 10, List.of()),
                new AnswerMemo.Question(
                        "a", 2, List.of(new AppliedAdapter("medical", 1, "published anew")), GREEDY, 10, List.of()));
        List<Request> requests = questions.stream().map(Request::new).toList();
        requests.forEach(Request::assertAsked);
        requests.forEach(request -> request.answer("A"));
        questions.forEach(question -> new Request(question).assertAnsweredWithoutTheModel("A"));
    }

    @Test
    void memoMayBeOff() {
        memo = new AnswerMemo(0);
        ask("a").answer("A");
        ask("a").assertAsked();
        ask("a").assertAsked();
    }

    @Test
    void memoryIsBoundedAndTheLongestUnusedLeaves() {
        memo = new AnswerMemo(10_000);
        ask("used").answer("U");
        for (int i = 0; i < 1000; i++) {
            ask("question %d".formatted(i)).answer("A");
            ask("used").assertAnsweredWithoutTheModel("U");
        }
        ask("question 999").assertAnsweredWithoutTheModel("A");
        ask("question 0").assertAsked();

        ask("long").answer("x".repeat(10_000));
        ask("long").assertAsked();
        ask("used").assertAnsweredWithoutTheModel("U");
    }

    @Test
    void nobodyIsAskedAfterTheEnd() {
        Request first = ask("a");
        Request second = ask("a");
        memo.close();
        LlamafuException closed = new LlamafuException(ErrorCode.ENGINE_CLOSED, "closed");
        first.future.completeExceptionally(closed);
        second.assertWaits();
        second.future.completeExceptionally(closed);
        assertThat(second.disposed).hasValue(1);
    }

    /** Each request is either asked or disposed of, never both, whichever requests give up. */
    @Test
    void everyRequestHasOneOutcomeWhoeverGivesUpWhen() throws Exception {
        ConcurrentLinkedQueue<Request> requests = new ConcurrentLinkedQueue<>();
        List<Thread> threads = new ArrayList<>();
        for (int seed = 0; seed < 8; seed++) {
            Random random = new Random(seed);
            threads.add(new Thread(() -> {
                for (int i = 0; i < 2000; i++) {
                    Request request = ask("question %d".formatted(random.nextInt(5) + i / 100));
                    requests.add(request);
                    switch (random.nextInt(3)) {
                        case 0 -> request.future.cancel(false);
                        case 1 ->
                            request.future.completeExceptionally(new LlamafuException(ErrorCode.ENGINE_FAILED, "no"));
                        default -> {
                            if (request.asked.get() > 0) {
                                request.answer("A");
                            }
                        }
                    }
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join(TimeUnit.MINUTES.toMillis(1));
        }
        // Like an engine: answers every request it is asked, until none waits.
        for (boolean open = true; open; ) {
            open = false;
            for (Request request : requests) {
                if (!request.future.isDone() && request.asked.get() > 0) {
                    request.answer("A");
                    open = true;
                }
            }
        }
        assertThat(requests).allSatisfy(request -> {
            assertThat(request.future).isDone();
            assertThat(request.asked.get() + request.disposed.get()).isEqualTo(1);
        });
    }
}
