package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** Native memory of adapters: the reported bytes are the bytes in use, and everything loaded is freed. */
class AdapterLeakTest {
    private static final int WARM_UP_CYCLES = 300;
    /** {@code -Dcycles=10000} runs all of them. */
    private static final int CYCLES = Integer.getInteger("cycles", 1000);

    private static final long MOST_GROWTH = 50_000_000;
    private static final int ANSWER_TOKENS = 2;
    private static final long LARGE_BYTES = 100_000_000;

    @Test
    void loadedAndUnloadedAdaptersLeaveNoMemoryBehind() throws Exception {
        String growth = OwnJvm.run(AdapterLeakTest.class, List.of("cycles", String.valueOf(CYCLES)), 10);
        System.out.printf("%d cycles: resident memory grew by %s bytes%n", CYCLES, growth);

        assertThat(Long.parseLong(growth)).isLessThan(MOST_GROWTH);
    }

    @Test
    void reportedBytesAreThoseThatAnAdapterTakes(@TempDir Path folder) throws Exception {
        LargeAdapter.write(folder.resolve("large.gguf"), LARGE_BYTES, 0);
        String[] bytes = OwnJvm.run(AdapterLeakTest.class, List.of("size", folder.toString()), 2)
                .split(" ", -1);
        long reported = Long.parseLong(bytes[0]);
        long measured = Long.parseLong(bytes[1]);
        System.out.printf("reported %d bytes, measured %d%n", reported, measured);

        assertThat(reported).isBetween(LARGE_BYTES * 9 / 10, LARGE_BYTES * 11 / 10);
        assertThat(measured).isBetween(reported * 9 / 10, reported * 11 / 10);
    }

    @Test
    void memoryOfALargeAdapterServesTheNextAndThenGoesBackToTheSystem(@TempDir Path folder) throws Exception {
        LargeAdapter.write(folder.resolve("large.gguf"), LARGE_BYTES, 0);
        LargeAdapter.write(folder.resolve("other.gguf"), LARGE_BYTES, 0.5f);
        String[] bytes = OwnJvm.run(AdapterLeakTest.class, List.of("reuse", folder.toString()), 2)
                .split(" ", -1);
        long inUse = Long.parseLong(bytes[0]);
        long kept = Long.parseLong(bytes[1]);
        long atLast = Long.parseLong(bytes[2]);
        System.out.printf("resident memory grew by %d bytes; %d were kept, and %d at last%n", inUse, kept, atLast);

        assertThat(inUse).isLessThan(LARGE_BYTES * 3 / 2);
        assertThat(kept).isGreaterThan(LARGE_BYTES / 2);
        assertThat(atLast).isLessThan(LARGE_BYTES / 2);
    }

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "cycles" -> printGrowth(Integer.parseInt(arguments[1]));
            case "size" -> printSize(Path.of(arguments[1]));
            case "reuse" -> printReuse(Path.of(arguments[1]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void printGrowth(int cycles) throws Exception {
        try (InferenceEngine engine = LlamaCppEngine.open(TinyModel.options().build())) {
            loadAndUnload(engine, WARM_UP_CYCLES);
            long before = OwnJvm.residentBytes();
            loadAndUnload(engine, cycles);
            long loads = engine.metrics().adapters().loads();
            assertThat(loads).isEqualTo(WARM_UP_CYCLES + cycles);
            System.out.println(OwnJvm.residentBytes() - before);
        }
    }

    private static void loadAndUnload(InferenceEngine engine, int cycles) throws Exception {
        for (int i = 0; i < cycles; i++) {
            preload(engine, "medical");
            if (i % 10 == 0) {
                assertThat(answer(engine, AdapterStack.of("medical")).generatedTokens())
                        .isEqualTo(ANSWER_TOKENS);
            }
            unload(engine, "medical");
        }
    }

    private static void printReuse(Path folder) throws Exception {
        try (InferenceEngine engine =
                LlamaCppEngine.open(TinyModel.options().adapters(folder).build())) {
            long before = OwnJvm.residentBytes();
            String fresh = answer(engine, AdapterStack.of("other")).text();
            assertThat(fresh).isNotEqualTo(answer(engine, AdapterStack.base()).text());
            long inUse = 0;
            for (int i = 0; i < 5; i++) {
                unload(engine, "other");
                preload(engine, "large");
                unload(engine, "large");
                assertThat(answer(engine, AdapterStack.of("other")).text()).isEqualTo(fresh);
                inUse = Math.max(inUse, OwnJvm.residentBytes() - before);
            }
            unload(engine, "other");
            long kept = OwnJvm.residentBytes() - before;
            Await.until("the memory is given back", () -> OwnJvm.residentBytes() - before < LARGE_BYTES / 2);
            System.out.println(inUse + " " + kept + " " + (OwnJvm.residentBytes() - before));
        }
    }

    private static CompletionResult answer(InferenceEngine engine, AdapterStack stack) throws Exception {
        return engine.submit(CompletionRequest.of(TinyModel.prompt("Patient reports chest pain."), stack)
                        .withMaxTokens(ANSWER_TOKENS))
                .get(60, TimeUnit.SECONDS);
    }

    private static void unload(InferenceEngine engine, String name) throws Exception {
        engine.unload(name);
        Await.until("no adapter in memory", () -> engine.metrics().memory().adapters() == 0);
    }

    private static void preload(InferenceEngine engine, String name) throws Exception {
        List<AppliedAdapter> loaded = engine.preload(AdapterStack.of(name)).get(60, TimeUnit.SECONDS);
        assertThat(loaded).hasSize(1);
    }

    private static void printSize(Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        try (InferenceEngine engine =
                LlamaCppEngine.open(TinyModel.options().adapters(folder).build())) {
            preload(engine, "medical");
            long reportedBefore = engine.metrics().memory().adapters();
            long before = OwnJvm.residentBytes();
            preload(engine, "large");
            long measured = OwnJvm.residentBytes() - before;
            System.out.println((engine.metrics().memory().adapters() - reportedBefore) + " " + measured);
        }
    }
}
