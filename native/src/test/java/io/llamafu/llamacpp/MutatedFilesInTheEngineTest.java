package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.gguf.GgufMutations;
import io.llamafu.gguf.ModelFile;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Whatever a file contains, an engine that gets it as its model or as an adapter answers or reports a code, and does
 * not crash, hang or use much memory. It runs in a separate JVM, which a crash of llama.cpp would end. {@code
 * -Dmutations=20000} draws more files.
 */
class MutatedFilesInTheEngineTest {
    private static final int MUTATIONS = Integer.getInteger("mutations", 2_000);
    private static final long SEED = 20_260_103;
    private static final long MOST_BYTES = 64L << 20;
    private static final int WARM_UP_ANSWERS = 20;
    private static final String PROMPT = TinyModel.prompt("Seen today for knee pain.");

    @ParameterizedTest
    @ValueSource(strings = {"adapter", "model"})
    void everyFileAnswersOrIsRefused(String kind, @TempDir Path folder) throws Exception {
        String outcome = OwnJvm.run(
                MutatedFilesInTheEngineTest.class, List.of(kind, folder.toString(), String.valueOf(MUTATIONS)), 30);
        System.out.printf("%d mutations as %s: %s%n", MUTATIONS, kind, outcome);
        String[] parts = outcome.split(" ", 3);

        assertThat(Integer.parseInt(parts[0])).as("that answered").isBetween(MUTATIONS / 20, MUTATIONS / 2);
        assertThat(Long.parseLong(parts[1]))
                .as("bytes at the peak, beyond those of the original")
                .isLessThan(MOST_BYTES);
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[1]);
        int mutations = Integer.parseInt(arguments[2]);
        System.out.println(
                arguments[0].equals("adapter")
                        ? asAdapters(folder, mutations)
                        : asModels(folder.resolve("model.gguf"), mutations));
    }

    private static String asAdapters(Path folder, int mutations) throws Exception {
        Path original = TinyModel.adapters().resolve("medical.gguf");
        GgufMutations files = new GgufMutations(original, SEED);
        Outcomes outcomes = new Outcomes();
        try (InferenceEngine engine =
                LlamaCppEngine.open(TinyModel.options().adapters(folder).build())) {
            for (int index = -WARM_UP_ANSWERS; index < mutations; index++) {
                String name = index < 0 ? "original" + -index : "m" + index;
                Path file = folder.resolve(name + ".gguf");
                Files.write(file, index < 0 ? Files.readAllBytes(original) : files.next());
                outcomes.add(index, () -> ask(engine, AdapterStack.of(name)));
                engine.unload(name);
                Files.delete(file);
            }
        }
        return outcomes.toString();
    }

    private static String asModels(Path file, int mutations) throws Exception {
        GgufMutations files = new GgufMutations(TinyModel.model(), SEED);
        Outcomes outcomes = new Outcomes();
        for (int index = -WARM_UP_ANSWERS; index < mutations; index++) {
            Files.write(file, index < 0 ? Files.readAllBytes(TinyModel.model()) : files.next());
            outcomes.add(index, () -> askModel(file));
        }
        return outcomes.toString();
    }

    private static Outcome askModel(Path file) throws Exception {
        // the engine rejects it in the same way, but ten times as slowly
        try {
            ModelFile.read(file);
        } catch (LlamafuException e) {
            return new Outcome(e.code());
        }
        try (InferenceEngine engine = LlamaCppEngine.open(EngineOptions.builder(file)
                .contextSize(64)
                .parallelSequences(1)
                .threads(1)
                .build())) {
            return ask(engine, AdapterStack.base());
        } catch (LlamafuException e) {
            return new Outcome(e.code());
        }
    }

    /** @param code null if there was an answer */
    private record Outcome(ErrorCode code) {}

    private static Outcome ask(InferenceEngine engine, AdapterStack stack) throws Exception {
        CompletableFuture<CompletionResult> answer =
                engine.submit(CompletionRequest.of(PROMPT, stack).withMaxTokens(2));
        try {
            answer.get(60, TimeUnit.SECONDS);
            return new Outcome(null);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof LlamafuException coded) {
                return new Outcome(coded.code());
            }
            throw e;
        }
    }

    private static final class Outcomes {
        private final Map<ErrorCode, Integer> refused = new EnumMap<>(ErrorCode.class);
        private int answered;
        private long bytesBefore;
        private long slowestNanos;

        /** @param index negative while the original is asked, so that only the cost of mutations is counted */
        private void add(int index, Callable<Outcome> question) throws Exception {
            long start = System.nanoTime();
            Outcome outcome = question.call();
            long nanos = System.nanoTime() - start;
            if (index < 0) {
                assertThat(outcome.code()).as("of the original").isNull();
                bytesBefore = OwnJvm.peakResidentBytes();
                return;
            }
            slowestNanos = Math.max(slowestNanos, nanos);
            if (outcome.code() == null) {
                answered++;
            } else {
                refused.merge(outcome.code(), 1, Integer::sum);
            }
        }

        /** Answers, growth of peak memory, number of each code, and the slowest time. */
        @Override
        public String toString() {
            return "%d %d %s, the slowest after %d ms"
                    .formatted(
                            answered,
                            OwnJvm.peakResidentBytes() - bytesBefore,
                            refused,
                            TimeUnit.NANOSECONDS.toMillis(slowestNanos));
        }
    }
}
