package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** Every level in the jar answers alike; docs/native-build.md says how to run this on emulated processors. */
class NativeLevelsTest {
    @Test
    void everyLevelBelowTheBestAnswersTheGoldenPrompts() throws Exception {
        List<Path> levels = PackedLibraries.usable();
        assertThat(levels).isNotEmpty();
        for (Path level : levels.subList(1, levels.size())) { // the best one is that of all other tests
            String name = level.getFileName().toString();

            assertThat(OwnJvm.run(
                            Answers.class, List.of("-D" + NativeLibrary.LEVEL_PROPERTY + "=" + name), List.of(), 5))
                    .startsWith(name + ": 20 of 20");
        }
    }

    /**
     * A cluster of different processors answers alike. {@code packed_parity*.cpp} compare the kernels that each library chooses for
     * its processor. The lowest level has no fused multiply-add, and no processor that can be deterministic needs it.
     */
    @Test
    void levelsOfDeterministicEnginesGiveTheSameBits() throws Exception {
        List<String> levels = PackedLibraries.usable().stream()
                .map(level -> level.getFileName().toString())
                .filter(level -> !level.equals("x86-64-v2"))
                .toList();
        assumeThat(levels).hasSizeGreaterThan(1);
        String best = Bits.digest();
        for (String level : levels.subList(1, levels.size())) {
            assertThat(OwnJvm.run(Bits.class, List.of("-D" + NativeLibrary.LEVEL_PROPERTY + "=" + level), List.of(), 5))
                    .as(level)
                    .isEqualTo(best);
        }
    }

    /** Prints a digest of answers, and of the probabilities of labels to the last bit. */
    static final class Bits {
        private Bits() {}

        public static void main(String[] arguments) throws Exception {
            System.out.println(digest());
        }

        static String digest() throws Exception {
            StringBuilder all = new StringBuilder();
            try (InferenceEngine engine =
                    LlamaCppEngine.open(DeterministicTest.options().build())) {
                List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
                for (CompletionRequest request : DeterministicTest.requests()) {
                    answers.add(engine.submit(request));
                }
                for (CompletableFuture<CompletionResult> answer : answers) {
                    CompletionResult result = answer.get(5, TimeUnit.MINUTES);
                    all.append(result.text()).append(result.labels()).append('\n');
                }
            }
            return Sha256.of(all.toString());
        }
    }

    /** Answers 20 golden prompts under different stacks in one batch, and prints how many are exact. */
    static final class Answers {
        private static final int COUNT = 20;

        private Answers() {}

        public static void main(String[] arguments) throws Exception {
            List<Golden> golden = exactScales();
            int exact = 0;
            try (InferenceEngine engine =
                    LlamaCppEngine.open(TinyModel.options().build())) {
                List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
                for (Golden each : golden) {
                    answers.add(engine.submit(CompletionRequest.of(each.prompt(), each.stack())));
                }
                for (int i = 0; i < COUNT; i++) {
                    String answer =
                            answers.get(i).get(5, TimeUnit.MINUTES).text().strip();
                    if (answer.equals(golden.get(i).expected())) {
                        exact++;
                    } else {
                        System.out.println(golden.get(i) + " was answered " + answer);
                    }
                }
            }
            String build = NativeLibrary.build();
            String level = build.replaceAll(".*, level ", "");
            System.out.println(level + ": " + exact + " of " + COUNT + " (" + NativeLibrary.buildInfo() + ")");
        }

        /** Spread over the file, so that sets of prompts and stacks vary. */
        private static List<Golden> exactScales() {
            List<Golden> golden = TinyModel.golden().stream()
                    .filter(each -> each.stack().isBase() || hasScalesOfTraining(each.stack()))
                    .toList();
            int step = golden.size() / COUNT;
            List<Golden> chosen = new ArrayList<>();
            for (int i = 0; i < COUNT; i++) {
                chosen.add(golden.get(i * step));
            }
            return chosen;
        }

        private static boolean hasScalesOfTraining(AdapterStack stack) {
            return !stack.toString().contains(":0.5");
        }
    }
}
