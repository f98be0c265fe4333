package io.llamafu.flink.completion;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult.Computation;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.Completion;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.Provenance;
import io.llamafu.flink.ResolvedAdapter;
import io.llamafu.flink.routing.RequestSampling;
import io.llamafu.flink.routing.RoutedRequest;
import io.llamafu.flink.routing.TokenBias;
import io.llamafu.grammar.LabelGrammar;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Routed records, asked by a client. */
class RecordQuestionTest {
    @TempDir
    private Path folder;

    private ScriptedEngine engine = new ScriptedEngine();
    private LlamafuOptions options;
    private EngineClient client;

    @BeforeEach
    void open() {
        open(OnError.EMIT);
    }

    private void open(OnError onError) {
        open(onError, false);
    }

    private void open(OnError onError, boolean promptInOutput) {
        options = LlamafuOptions.builder()
                .model("base.gguf")
                .maxTokens(9)
                .stop("END")
                .timeout(Duration.ofSeconds(7))
                .onError(onError)
                .promptInOutput(promptInOutput)
                .build();
        client = EngineClient.open(
                options,
                new TaskManager(folder, Optional.empty(), OptionalInt.empty()),
                engineOptions -> engine.lease(),
                new UnregisteredMetricsGroup());
    }

    @Test
    void requestAsksWhatTheRecordAndTheOptionsSay() {
        invoke(request("1", "medical:0.5+formal"));

        assertThat(engine.requests()).singleElement().satisfies(request -> {
            assertThat(request.prompt()).isEqualTo(Prompt.text("prompt of 1"));
            assertThat(request.adapters()).isEqualTo(AdapterStack.parse("medical:0.5+formal"));
            assertThat(request.sampling().seed()).isEqualTo(3);
            assertThat(request.maxTokens()).isEqualTo(9);
            assertThat(request.stop()).containsExactly("END");
            assertThat(request.timeout()).isEqualTo(Duration.ofSeconds(7));
        });
    }

    @Test
    void controlTokensAreInTextOnlyIfTheOptionsSaySo() {
        assertThat(LlamafuOptions.builder()
                        .model("base.gguf")
                        .controlTokensInText(true)
                        .build()
                        .applyControlTokens(Prompt.text("a</s>")))
                .isEqualTo(Prompt.withControlTokens("a</s>"));
        assertThat(options.applyControlTokens(Prompt.text("a</s>"))).isEqualTo(Prompt.text("a</s>"));
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
    void labelsOfARecordAreScoredAsTheOptionsSay() {
        LlamafuOptions labelling = LlamafuOptions.fromMap(Map.of(
                "model", "base.gguf",
                "grammar", "root ::= \"any\"",
                "scoring", "exact",
                "min-confidence", "0.6",
                "abstain-label", "none",
                "calibration", "medical=1.5;2"));
        RoutedRequest request = request("1", "medical");
        request.setLabels(List.of("a", "b"));
        request.setSampling(null);

        CompletionRequest asked = new RecordQuestion(request, labelling, labelling.sampling()).request();

        assertThat(asked.labels())
                .contains(new LabelChoice(List.of("a", "b"), LabelChoice.Scoring.EXACT, 1.5, 0.6, "none"));
        assertThat(asked.sampling().grammar()).isEmpty();
        request.setLabels(null);
        CompletionRequest without = new RecordQuestion(request, labelling, labelling.sampling()).request();
        assertThat(without.labels()).isEmpty();
        assertThat(without.sampling().grammar()).isEqualTo("root ::= \"any\"");
    }

    @Test
    void anySubsetOfTheLabelsOfARecordIsAGrammar() {
        LlamafuOptions labelling = LlamafuOptions.fromMap(Map.of("model", "base.gguf", "multi-label", "true"));
        RoutedRequest request = request("1", "medical");
        request.setLabels(List.of("a", "b"));

        CompletionRequest asked = new RecordQuestion(request, labelling, labelling.sampling()).request();

        assertThat(asked.labels()).isEmpty();
        assertThat(asked.sampling().grammar()).isEqualTo(LabelGrammar.subsetsOf(List.of("a", "b")));
        assertThat(asked.maxTokens()).isEqualTo(LabelGrammar.maxTokensOfSubset(List.of("a", "b")));
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
        assertThat(result.isSettled()).isFalse();
        engine.answer(0, "cardiology");

        assertThat(result.completion())
                .isEqualTo(Completion.newBuilder()
                        .setId("1")
                        .setKey("tenant")
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
                        .setDecodeSteps(5)
                        .setEventTime(42L)
                        .setProvenance(Provenances.of(ScriptedEngine.COMPUTATION, Sha256.of("{text}"), null))
                        .build());
    }

    @Test
    void provenanceTellsHowTheAnswerWasComputed() {
        SamplingOptions sampling = SamplingOptions.builder()
                .temperature(0.7f)
                .seed(11)
                .logitBias(Map.of(4, Float.NEGATIVE_INFINITY))
                .grammar("root ::= \"a\"")
                .build();

        Provenance provenance = Provenances.of(
                new Computation("model", "native: build", sampling, 9, List.of("END")), "template", "chat");

        assertThat(provenance.getModelDigest()).isEqualTo("model");
        assertThat(provenance.getPromptTemplateDigest()).isEqualTo("template");
        assertThat(provenance.getChatTemplateDigest()).isEqualTo("chat");
        assertThat(provenance.getEngine()).isEqualTo("native: build");
        assertThat(provenance.getMaxTokens()).isEqualTo(9);
        assertThat(provenance.getStop()).containsExactly("END");
        assertThat(provenance.getSampling().getTemperature()).isEqualTo(0.7f);
        assertThat(provenance.getSampling().getSeed()).isEqualTo(11);
        assertThat(provenance.getSampling().getLogitBias()).isEqualTo(Map.of("4", Float.NEGATIVE_INFINITY));
        assertThat(provenance.getSampling().getGrammarDigest()).isEqualTo(Sha256.of("root ::= \"a\""));
    }

    @Test
    void provenanceIsJsonWithTheAdapters() throws IOException {
        Result result = invoke(request("1", "medical:0.5"));
        engine.answer(0, "cardiology");

        JsonNode json = new ObjectMapper().readTree(result.outcome().provenanceAsJson());
        assertThat(json.at("/adapters/0/name").asText()).isEqualTo("medical");
        assertThat(json.at("/adapters/0/scale").asDouble()).isEqualTo(0.5);
        assertThat(json.at("/adapters/0/digest").asText()).isEqualTo("digest of medical");
        assertThat(json.at("/modelDigest").asText()).isEqualTo(ScriptedEngine.COMPUTATION.modelDigest());
        assertThat(json.at("/sampling/seed").isInt()).isTrue();
        assertThat(json.has("prompt")).isFalse();
    }

    @Test
    void promptIsInTheOutputOnlyIfItIsAskedFor() throws IOException {
        open(OnError.EMIT, true);
        Result answered = invoke(request("1", ""));
        engine.answer(0, "text");
        Result failed = invoke(request("2", "missing"));
        engine.fail(1, ErrorCode.ADAPTER_NOT_FOUND, "There is no adapter 'missing'.");

        assertThat(answered.completion().getPrompt()).isEqualTo("prompt of 1");
        assertThat(failed.completion().getPrompt()).isEqualTo("prompt of 2");
        assertThat(failed.completion().getProvenance()).isNull();
        assertThat(new ObjectMapper()
                        .readTree(answered.outcome().provenanceAsJson())
                        .at("/prompt")
                        .asText())
                .isEqualTo("prompt of 1");
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
                .hasMessage(
                        "ADAPTER_NOT_FOUND: The record with id '1' of key 'tenant': There is no adapter 'missing'.");
    }

    @Test
    void askingThrowsNothing() {
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

        assertThat(result.failure()).isInstanceOf(LlamafuException.class);
    }

    @Test
    void timeoutCancelsTheGenerationAndIsCoded() {
        Result result = invoke(request("1", ""));
        result.giveUpIfEngineHangs();

        assertThat(engine.answer(0)).isCancelled();
        assertThat(result.completion().getErrorCode()).isEqualTo("DEADLINE_EXCEEDED");
        assertThat(result.completion().getError()).contains("PT7S");
    }

    @Test
    void whicheverComesFirstSettlesAndNothingSettlesTwice() {
        Result answered = invoke(request("1", ""));
        engine.answer(0, "text");
        answered.giveUpIfEngineHangs();
        Result timedOut = invoke(request("1", ""));
        timedOut.giveUpIfEngineHangs();
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
        client.close();
        client.close();

        assertThat(engine.answer(0)).isCancelled();
        assertThat(engine.closedLeases()).isPositive();
        assertThat(result.isSettled()).as("the last checkpoint has it").isFalse();
    }

    @Test
    void waitingGivesTheOutcomeAndFailsWithTheError() {
        Result answered = invoke(request("1", ""));
        engine.answer(0, "text");
        assertThat(answered.asked().await().completion().text()).isEqualTo("text");

        open(OnError.FAIL);
        Result failed = invoke(request("2", ""));
        engine.fail(1, ErrorCode.OUT_OF_MEMORY, "no room");
        assertThatThrownBy(() -> failed.asked().await())
                .isInstanceOf(LlamafuException.class)
                .hasMessage("OUT_OF_MEMORY: The record with id '2' of key 'tenant': no room");
    }

    @Test
    void interruptedWaitFreesTheSequence() {
        Result result = invoke(request("1", ""));
        Thread.currentThread().interrupt();

        assertThatThrownBy(() -> result.asked().await())
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ENGINE_CLOSED));
        assertThat(Thread.interrupted()).isTrue();
        assertThat(engine.answer(0)).isCancelled();
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

    private Result invoke(RoutedRequest request) {
        RecordQuestion question = new RecordQuestion(
                request, options, SamplingOptions.builder().seed(3).build());
        return new Result(question, client.ask(question));
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

    private record Result(RecordQuestion question, EngineClient.OpenRequest asked) {

        void giveUpIfEngineHangs() {
            asked.giveUpIfEngineHangs();
        }

        boolean isSettled() {
            return asked.outcome().isDone();
        }

        Outcome outcome() {
            assertThat(asked.outcome()).isCompleted();
            return asked.outcome().join();
        }

        Completion completion() {
            return question.completion(outcome());
        }

        Throwable failure() {
            assertThat(asked.outcome()).isCompletedExceptionally();
            return asked.outcome().handle((outcome, failure) -> failure).join();
        }
    }
}
