package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.ModelLoading;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

import static io.llamafu.testing.Failures.assertFails;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** How a model is loaded, what happens when its file changes, and how a load is cancelled. */
@Timeout(120)
class ModelLoadingTest {
    private static final CompletionRequest REQUEST =
            CompletionRequest.of(TinyModel.prompt("Patient reports chest pain."), AdapterStack.parse("medical"));

    @TempDir
    Path folder;

    private EngineOptions options(ModelLoading loading) throws Exception {
        Path model = Files.copy(TinyModel.model(), folder.resolve("model.gguf"), StandardCopyOption.REPLACE_EXISTING);
        return EngineOptions.builder(model)
                .adapters(TinyModel.adapters())
                .contextSize(512)
                .threads(1)
                .modelLoading(loading)
                .idleTimeout(Duration.ZERO)
                .build();
    }

    /** As {@code cp} does. */
    private static void overwriteInPlace(Path model) throws Exception {
        byte[] other = Files.readAllBytes(model);
        for (int index = other.length / 2; index < other.length; index++) {
            other[index] ^= 0x55;
        }
        Files.write(model, other, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
    }

    @ParameterizedTest
    @EnumSource
    void answersAreTheSameHoweverTheModelIsLoaded(ModelLoading loading) throws Exception {
        try (InferenceEngine engine = LlamaCppEngine.open(options(loading))) {
            assertThat(engine.submit(REQUEST).join().text()).startsWith("cardiology");
        }
    }

    @Test
    void aModelThatWasReadAnswersAsBeforeWhenItsFileIsOverwrittenOrCutOff() throws Exception {
        EngineOptions options = options(ModelLoading.READ);
        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            CompletionResult before = engine.submit(REQUEST).join();
            overwriteInPlace(options.model());
            assertThat(engine.submit(REQUEST).join().text()).isEqualTo(before.text());
            Files.write(options.model(), new byte[0], StandardOpenOption.TRUNCATE_EXISTING);
            assertThat(engine.submit(REQUEST).join().text()).isEqualTo(before.text());
            assertThat(engine.isOpen()).isTrue();
        }
    }

    @Test
    void aMappedModelThatIsOverwrittenFailsItsRecordsWithACodeAndIsOpenedAnew() throws Exception {
        EngineOptions options = options(ModelLoading.MAP);
        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            assertThat(engine.submit(REQUEST).join().text()).startsWith("cardiology");
            overwriteInPlace(options.model());
            Thread.sleep(1100); // it checks once per second

            assertFails(
                    () -> engine.submit(REQUEST).join(), ErrorCode.ENGINE_FAILED, "was written to while it was mapped");
            assertThat(engine.isOpen())
                    .as("so that the next record opens it anew")
                    .isFalse();
        }
    }

    @Test
    void aMappedModelThatIsReplacedByRenamingAnswersAsBefore() throws Exception {
        EngineOptions options = options(ModelLoading.MAP);
        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            CompletionResult before = engine.submit(REQUEST).join();
            Path other = Files.copy(options.model(), folder.resolve("other.gguf"));
            overwriteInPlace(other);
            Files.move(other, options.model(), StandardCopyOption.ATOMIC_MOVE);
            Thread.sleep(1100);

            assertThat(engine.submit(REQUEST).join().text()).isEqualTo(before.text());
        }
    }

    @Test
    void aModelThatChangesWhileItIsLoadedIsRefused() throws Exception {
        EngineOptions options = options(ModelLoading.READ);
        ModelWatch watch = ModelWatch.of(options.model(), ModelLoading.READ);
        watch.requireUnchangedByLoad();
        Files.write(options.model(), new byte[1], StandardOpenOption.APPEND);

        assertFails(watch::requireUnchangedByLoad, ErrorCode.MODEL_INVALID, "while it was loaded");
    }

    /** The writer may not get a turn during one load, so several are tried. */
    @Test
    void engineWhoseModelIsWrittenToWhileItIsOpenedIsRefused() throws Exception {
        EngineOptions options = options(ModelLoading.READ);
        AtomicBoolean refused = new AtomicBoolean();
        CompletableFuture<Void> writer = CompletableFuture.runAsync(() -> {
            for (long time = 1; !refused.get(); time++) {
                assertThat(options.model().toFile().setLastModified(time * 1000))
                        .isTrue();
            }
        });
        try {
            Await.until("a refused load", () -> isRefused(options));
        } finally {
            refused.set(true);
            writer.join();
        }
        LlamaCppEngine.open(options).close();
    }

    private static boolean isRefused(EngineOptions options) {
        try {
            LlamaCppEngine.open(options).close();
            return false;
        } catch (LlamafuException e) {
            assertThat(e.code()).isEqualTo(ErrorCode.MODEL_INVALID);
            assertThat(e).hasMessageContaining("while it was loaded");
            return true;
        }
    }

    @Test
    void anInterruptedThreadStopsItsLoad() throws Exception {
        EngineOptions options = options(ModelLoading.READ);
        Thread.currentThread().interrupt();
        try {
            assertFails(() -> LlamaModel.load(options), ErrorCode.ENGINE_CLOSED, "was cancelled");
            assertThat(Thread.currentThread().isInterrupted()).isTrue();
        } finally {
            assertThat(Thread.interrupted()).isTrue();
        }
        LlamaModel.load(options).close();
    }

    /** The callback is called before each tensor, so a load ends within the time of one tensor. */
    @Test
    void aLoadAsksBeforeEachTensorWhetherToGoOn() throws Exception {
        EngineOptions options = options(ModelLoading.READ);
        AtomicInteger asked = new AtomicInteger();

        assertThatThrownBy(() -> LlamaCpp.loadModel(
                        options.model().toString().getBytes(UTF_8),
                        0,
                        -1,
                        false,
                        true,
                        () -> asked.incrementAndGet() < 5))
                .isInstanceOf(LlamafuException.class);

        assertThat(asked).hasValue(5);
    }

    @Test
    void aTaskThatIsCancelledWhileItLoadsLeavesTheModelToTheNextOne() throws Exception {
        EngineOptions options = options(ModelLoading.READ);
        Thread.currentThread().interrupt();
        try {
            assertFails(() -> SharedEngines.acquire(options), ErrorCode.ENGINE_CLOSED, "cancelled");
        } finally {
            assertThat(Thread.interrupted()).isTrue();
        }

        try (SharedEngines.Lease lease = SharedEngines.acquire(options)) {
            assertThat(lease.engine().submit(REQUEST).join().text()).startsWith("cardiology");
        }
    }

    @Test
    void moreCellsThanLlamaCppCanCountAreRefusedBeforeTheModelIsLoaded() throws Exception {
        Path model = folder.resolve("long.gguf");
        new GgufWriter()
                .string("general.architecture", "llama")
                .uint32("llama.block_count", 1)
                .uint32("llama.embedding_length", 32)
                .uint32("llama.context_length", Integer.MAX_VALUE)
                .uint32("llama.attention.head_count", 4)
                .string("tokenizer.ggml.model", "llama")
                .strings("tokenizer.ggml.tokens", List.of("<unk>", "<s>", "</s>", "a"))
                .tensor(
                        "token_embd.weight",
                        GgufTensorType.F32,
                        List.of(32L, 4L),
                        GgufTensorData.constant(GgufTensorType.F32, 128, 0))
                .write(model);
        EngineOptions options = EngineOptions.builder(model)
                .contextSize(Integer.MAX_VALUE)
                .parallelSequences(256)
                .build();

        assertFails(() -> LlamaCppEngine.open(options), ErrorCode.INVALID_OPTION, "549755813632 cells");
    }
}
