package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.Completion;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.ResolvedAdapter;
import io.llamafu.flink.routing.RequestOnly;
import io.llamafu.flink.routing.RequestSampling;
import io.llamafu.flink.routing.RoutedRequest;
import io.llamafu.flink.routing.TokenBias;
import org.apache.flink.api.common.functions.DefaultOpenContext;
import org.apache.flink.streaming.api.functions.async.CollectionSupplier;
import org.apache.flink.streaming.api.functions.async.ResultFuture;
import org.apache.flink.streaming.util.MockStreamingRuntimeContext;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

class CompletionFunctionTest {
    private ScriptedEngine engine = new ScriptedEngine();
    private CompletionFunction<RoutedRequest, Completion> function;

    @BeforeEach
    void open() {
        open(OnError.EMIT);
    }

    private void open(OnError onError) {
        LlamafuOptions options = LlamafuOptions.builder()
                .model("base.gguf")
                .maxTokens(9)
                .stop("END")
                .timeout(Duration.ofSeconds(7))
                .onError(onError)
                .build();
        function = new CompletionFunction<>(
                options,
                SamplingOptions.builder().seed(3).build(),
                engineOptions -> engine.lease(),
                new RequestOnly<>());
        function.setRuntimeContext(new MockStreamingRuntimeContext(1, 0));
        function.open(DefaultOpenContext.INSTANCE);
    }

    @Test
    void requestAsksWhatTheRecordAndTheOptionsSay() {
        invoke(request("1", "medical:0.5+formal"));

        assertThat(engine.requests()).singleElement().satisfies(request -> {
            assertThat(request.prompt()).isEqualTo("prompt of 1");
            assertThat(request.adapters()).isEqualTo(AdapterStack.parse("medical:0.5+formal"));
            assertThat(request.sampling().seed()).isEqualTo(3);
            assertThat(request.maxTokens()).isEqualTo(9);
            assertThat(request.stop()).containsExactly("END");
            assertThat(request.timeout()).isEqualTo(Duration.ofSeconds(7));
        });
    }

    @Test
    void recordOverridesScalesSamplingAndMaxTokens() {
        RoutedRequest request = request("1", "medical+formal:0.7");
        request.setScales(Map.of("medical", 0.5f));
        request.setMaxTokens(3);
        request.setSampling(new RequestSampling(
                0.5f, 7, 0.9f, 0.1f, 1f, false, 5f, 0.1f, 1.1f, 0f, 0f, 64, 11, List.of(new TokenBias(4, 1f)), ""));
        invoke(request);

        assertThat(engine.requests()).singleElement().satisfies(asked -> {
            assertThat(asked.adapters()).isEqualTo(AdapterStack.parse("medical:0.5+formal:0.7"));
            assertThat(asked.maxTokens()).isEqualTo(3);
            assertThat(asked.sampling())
                    .isEqualTo(SamplingOptions.builder()
                            .temperature(0.5f)
                            .topK(7)
                            .topP(0.9f)
                            .minP(0.1f)
                            .repeatPenalty(1.1f)
                            .seed(11)
                            .logitBias(Map.of(4, 1f))
                            .build());
        });
    }

    @Test
    void scaleOfAnAdapterThatDoesNotAnswerIsAnErrorOfTheRecord() {
        RoutedRequest request = request("1", "medical");
        request.setScales(Map.of("legal", 0.5f));

        Completion completion = invoke(request).completion();
        assertThat(completion.getErrorCode()).isEqualTo("INVALID_REQUEST");
        assertThat(completion.getError()).contains("'legal'", "'medical'");
        assertThat(engine.requests()).isEmpty();
    }

    @Test
    void completionTellsAllThatIsKnown() {
        Result result = invoke(request("1", "medical:0.5"));
        assertThat(result.settled()).isZero();
        engine.answer(0, "cardiology");

        assertThat(result.completion())
                .isEqualTo(Completion.newBuilder()
                        .setId("1")
                        .setKey("tenant")
                        .setPrompt("prompt of 1")
                        .setText("cardiology")
                        .setStack("medical:0.5")
                        .setAdapters(List.of(new ResolvedAdapter("medical", 0.5f, "digest of medical")))
                        .setFinishReason("END_OF_GENERATION")
                        .setPromptTokens(7)
                        .setCachedPromptTokens(3)
                        .setGeneratedTokens(5)
                        .setQueueMillis(1.5)
                        .setFirstTokenMillis(2.5)
                        .setTotalMillis(3.5)
                        .setEventTime(42L)
                        .build());
    }

    @Test
    void emitGivesTheCodeAndTheError() {
        Result result = invoke(request("1", "missing"));
        engine.fail(0, ErrorCode.ADAPTER_NOT_FOUND, "There is no adapter 'missing'.");

        Completion completion = result.completion();
        assertThat(completion.getText()).isNull();
        assertThat(completion.getStack()).isEqualTo("missing");
        assertThat(completion.getErrorCode()).isEqualTo("ADAPTER_NOT_FOUND");
        assertThat(completion.getError()).isEqualTo("There is no adapter 'missing'.");
    }

    @Test
    void nullGivesNeitherTextNorError() {
        open(OnError.NULL);
        Result result = invoke(request("1", "missing"));
        engine.fail(0, ErrorCode.ADAPTER_NOT_FOUND, "There is no adapter 'missing'.");

        Completion completion = result.completion();
        assertThat(completion.getId()).isEqualTo("1");
        assertThat(completion.getText()).isNull();
        assertThat(completion.getErrorCode()).isNull();
        assertThat(completion.getError()).isNull();
    }

    @Test
    void failFailsWithTheCodeAndTheRecord() {
        open(OnError.FAIL);
        Result result = invoke(request("1", "missing"));
        engine.fail(0, ErrorCode.ADAPTER_NOT_FOUND, "There is no adapter 'missing'.");

        assertThat(result.failure())
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND))
                .hasMessage("The record with id '1' of key 'tenant': There is no adapter 'missing'.");
    }

    @Test
    void nothingIsThrownFromAsyncInvoke() {
        RoutedRequest rejected = request("1", "");
        rejected.setPrompt(null);
        rejected.setErrorCode("INVALID_REQUEST");
        rejected.setError("The prompt is null.");
        RoutedRequest againstContract = request("3", "");
        againstContract.setPrompt("throw");

        assertThat(invoke(rejected).completion().getError()).isEqualTo("The prompt is null.");
        assertThat(invoke(request("2", "a+a")).completion().getErrorCode()).isEqualTo("INVALID_REQUEST");
        assertThat(invoke(againstContract).completion().getErrorCode()).isEqualTo("ENGINE_FAILED");
        assertThat(engine.requests()).isEmpty();
    }

    @Test
    void unusableAnswerIsStillOneOutcome() {
        Result result = invoke(request("1", ""));
        engine.answer(0).complete(null);

        assertThat(result.settled()).isEqualTo(1);
        assertThat(result.failure()).isInstanceOf(LlamafuException.class);
    }

    @Test
    void timeoutCancelsTheGenerationAndIsCoded() {
        RoutedRequest request = request("1", "");
        Result result = invoke(request);
        function.timeout(request, result);

        assertThat(engine.answer(0)).isCancelled();
        assertThat(result.completion().getErrorCode()).isEqualTo("DEADLINE_EXCEEDED");
        assertThat(result.completion().getError()).contains("PT7S");
    }

    @Test
    void whicheverComesFirstSettlesAndNothingSettlesTwice() {
        RoutedRequest request = request("1", "");
        Result answered = invoke(request);
        engine.answer(0, "text");
        function.timeout(request, answered);
        Result timedOut = invoke(request);
        function.timeout(request, timedOut);
        engine.answer(1, "text");

        assertThat(answered.completion().getText()).isEqualTo("text");
        assertThat(timedOut.completion().getErrorCode()).isEqualTo("DEADLINE_EXCEEDED");
    }

    @Test
    void equalRecordsHaveTheirOwnOutcomes() {
        Result first = invoke(request("1", ""));
        Result second = invoke(request("1", ""));
        engine.answer(1, "second");
        engine.answer(0, "first");

        assertThat(first.completion().getText()).isEqualTo("first");
        assertThat(second.completion().getText()).isEqualTo("second");
    }

    @Test
    void closeCancelsWhatIsOpenAndSettlesNothing() {
        Result result = invoke(request("1", ""));
        function.close();
        function.close();

        assertThat(engine.answer(0)).isCancelled();
        assertThat(engine.closedLeases()).isPositive();
        assertThat(result.settled()).as("the last checkpoint has it").isZero();
    }

    @Test
    void failedEngineIsOpenedAnew() {
        Result first = invoke(request("1", ""));
        ScriptedEngine failed = engine;
        failed.close();
        failed.fail(0, ErrorCode.ENGINE_FAILED, "decode failed");
        engine = new ScriptedEngine();
        Result second = invoke(request("2", ""));
        engine.answer(0, "text");

        assertThat(first.completion().getErrorCode()).isEqualTo("ENGINE_FAILED");
        assertThat(second.completion().getText()).isEqualTo("text");
        assertThat(failed.closedLeases()).isEqualTo(1);
    }

    @Test
    void closeOfWhatWasNeverOpenedDoesNotThrow() {
        CompletionFunction<RoutedRequest, Completion> unopened = new CompletionFunction<>(
                LlamafuOptions.builder().model("base.gguf").build(),
                SamplingOptions.greedy(),
                options -> engine.lease(),
                new RequestOnly<>());

        assertThatCode(unopened::close).doesNotThrowAnyException();
    }

    private Result invoke(RoutedRequest request) {
        Result result = new Result();
        function.asyncInvoke(request, result);
        return result;
    }

    private static RoutedRequest request(String id, String stack) {
        return RoutedRequest.newBuilder()
                .setId(id)
                .setKey("tenant")
                .setPrompt("prompt of " + id)
                .setStack(stack)
                .setEventTime(42L)
                .build();
    }

    private static final class Result implements ResultFuture<Completion> {
        private final List<Completion> completions = new ArrayList<>();
        private final List<Throwable> failures = new ArrayList<>();

        @Override
        public void complete(Collection<Completion> result) {
            completions.addAll(result);
        }

        @Override
        public void completeExceptionally(Throwable error) {
            failures.add(error);
        }

        @Override
        public void complete(CollectionSupplier<Completion> supplier) {
            throw new UnsupportedOperationException();
        }

        int settled() {
            return completions.size() + failures.size();
        }

        Completion completion() {
            assertThat(failures).isEmpty();
            assertThat(completions).hasSize(1);
            return completions.get(0);
        }

        Throwable failure() {
            assertThat(completions).isEmpty();
            assertThat(failures).hasSize(1);
            return failures.get(0);
        }
    }
}
