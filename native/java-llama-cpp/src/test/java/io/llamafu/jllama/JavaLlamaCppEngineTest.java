package io.llamafu.jllama;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineContractTest;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.failure;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The engine java-llama.cpp, with the limits that {@code docs/engines.md} lists. */
class JavaLlamaCppEngineTest extends EngineContractTest {
    @Override
    public InferenceEngine open(EngineOptions options) {
        return JavaLlamaCppEngine.open(options);
    }

    /** It decodes one stack at a time, so all of them would take too long. */
    @Override
    public int goldenSample() {
        return 300;
    }

    /** Both are found, and are not shared, as the engine is one of the options. */
    @Test
    void isOpenedByItsNameBesideTheNativeEngine() {
        EngineOptions.Builder options = TinyModel.options().contextSize(64).idleTimeout(Duration.ZERO);
        try (SharedEngines.Lease ours =
                        SharedEngines.acquire(options.engine("native").build());
                SharedEngines.Lease theirs = SharedEngines.acquire(
                        options.engine(JavaLlamaCppEngine.NAME).build())) {
            assertThat(theirs.engine()).isInstanceOf(JavaLlamaCppEngine.class);
            assertThat(ours.engine()).isNotInstanceOf(JavaLlamaCppEngine.class);
        }
    }

    @Test
    void grammarWithABannedTokenIsRefusedAsItCouldEndTheProcess() throws Exception {
        SamplingOptions sampling = SamplingOptions.builder()
                .grammar("root ::= \"a\"")
                .logitBias(Map.of(2, Float.NEGATIVE_INFINITY))
                .build();
        assertThat(failure(engine().submit(CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling)))
                        .code())
                .isEqualTo(ErrorCode.INVALID_OPTION);
    }

    @Test
    void scoringIsRefusedWithTheEngineThatKnowsIt() throws Exception {
        LabelChoice choice = LabelChoice.of(List.of("a", "b"), LabelChoice.Scoring.PATH);
        assertThat(failure(engine().submit(CompletionRequest.of(PROMPT, MEDICAL).withLabels(Optional.of(choice)))))
                .hasMessageContaining("use the engine native")
                .extracting(LlamafuException::code)
                .isEqualTo(ErrorCode.INVALID_OPTION);
    }

    /** The library would keep the infinities in the slot. */
    @Test
    void stackWhoseScalesAndAlphasAreTooStrongIsRefused() throws Exception {
        for (String stack : List.of("medical:100+formal:100+legal:1", "medical:-100+formal:100+legal:-1")) {
            assertThat(failure(engine().submit(CompletionRequest.of(PROMPT, AdapterStack.parse(stack)))))
                    .hasMessageContaining("strength (scale * alpha / rank, added up) of 804.0")
                    .extracting(LlamafuException::code)
                    .isEqualTo(ErrorCode.INVALID_REQUEST);
        }
        assertThat(answer(engine(), CompletionRequest.of(PROMPT, MEDICAL)).text())
                .isEqualTo("cardiology; routine");
    }

    /** All adapters of the folder are loaded, so all must fit. */
    @Test
    void folderBeyondTheAdapterBudgetIsRefused() {
        assertThatThrownBy(() -> open(TinyModel.options()
                                .adapterMemoryBudget(160_000)
                                .build())
                        .close())
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.OUT_OF_MEMORY));
    }

    @Test
    void engineThatIsOpenedAgainTakesOverTheModelThatCouldNotBeFreed() {
        EngineOptions options = TinyModel.options().contextSize(96).build();
        open(options).close();
        int idle = IdleModels.count();
        try (InferenceEngine again = open(options)) {
            assertThat(again.isOpen()).isTrue();
            assertThat(IdleModels.count()).isEqualTo(idle - 1);
        }
        assertThat(IdleModels.count()).isEqualTo(idle);
    }

    @Test
    void cpuWithoutTheInstructionsOfTheLibraryIsRefused() {
        assertThatThrownBy(() -> BindingLibrary.checkCpu(Optional.of(Set.of("avx", "fma"))))
                .hasMessageContaining("avx2, f16c")
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.UNSUPPORTED_CPU));
    }
}
