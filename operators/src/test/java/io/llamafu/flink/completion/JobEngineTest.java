package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.RemoteStore;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class JobEngineTest {
    @TempDir
    private Path folder;

    private final ScriptedEngine engine = new ScriptedEngine();

    private TaskManager taskManager(OptionalInt gpu) {
        return new TaskManager(folder, Optional.of(new TaskManager.Memory(0, 0)), gpu);
    }

    @Test
    void engineIsAskedForWithTheGpuOfTheTaskManager() {
        LlamafuOptions options =
                LlamafuOptions.builder().model("base.gguf").gpuLayers(-1).build();
        List<EngineOptions> asked = new ArrayList<>();
        Leases leases = wanted -> {
            asked.add(wanted);
            return engine.lease();
        };
        try (JobEngine held = JobEngine.open(options, taskManager(OptionalInt.of(2)), leases)) {
            assertThat(held.engine()).as("nothing is remote").isSameAs(engine);
        }
        assertThat(asked)
                .containsExactly(EngineOptions.builder(Path.of("base.gguf"))
                        .gpuLayers(-1)
                        .gpuDevice(2)
                        .answerMemo(8L << 20)
                        .build());
        assertThat(engine.closedLeases()).isEqualTo(1);
    }

    @Test
    void failureToOpenNamesTheUriAndGivesTheFilesBack() throws Exception {
        RemoteStore store = RemoteStore.over(Files.createDirectories(folder.resolve("remote")));
        store.publish("base.gguf", new byte[10]);
        LlamafuOptions options = LlamafuOptions.builder()
                .model(store.uri("base.gguf").toString())
                .build();
        Leases leases = wanted -> {
            assertThat(wanted.model()).hasSize(10);
            throw new LlamafuException(ErrorCode.MODEL_INVALID, "It is no model.");
        };
        assertThatThrownBy(() -> JobEngine.open(options, taskManager(OptionalInt.empty()), leases))
                .hasMessageContainingAll(store.uri("base.gguf").toString(), "It is no model.")
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.MODEL_INVALID));
        assertThat(folder.resolve("llamafu-cache/sessions")).isEmptyDirectory();
    }

    private static LlamafuOptions budget(String size) {
        return LlamafuOptions.fromMap(Map.of("model", "base.gguf", "adapters.memory-budget", size));
    }

    private JobEngine open(LlamafuOptions options) {
        return JobEngine.open(options, taskManager(OptionalInt.empty()), wanted -> engine.lease());
    }

    private static void prefetch(LlamafuOptions options, String... stacks) {
        for (String stack : stacks) {
            JobEngine.prefetch(options, AdapterStack.parse(stack));
        }
    }

    @Test
    void stacksOfRoutesAreLoadedByTheEngineOfTheirOptions() {
        LlamafuOptions options = budget("1 kb");
        prefetch(options, "before");
        JobEngine held = open(options);
        prefetch(options, "medical:0.5+formal", "", "legal");
        prefetch(budget("2 kb"), "other");
        held.close();
        prefetch(options, "after");

        assertThat(engine.preloads())
                .containsExactly(AdapterStack.parse("medical:0.5+formal"), AdapterStack.parse("legal"));
    }

    @Test
    void routesTakeNoAdaptersPlaceAndNeedABudget() {
        for (LlamafuOptions options : List.of(
                budget("5 bytes"), LlamafuOptions.builder().model("base.gguf").build())) {
            JobEngine held = open(options);
            prefetch(options, "medical+legal");
            held.close();
        }

        assertThat(engine.preloads()).isEmpty();
    }

    @Test
    void routesDoNotFloodTheEngine() {
        LlamafuOptions options = budget("1 kb");
        JobEngine held = open(options);
        for (int route = 0; route < 1000; route++) {
            prefetch(options, "a" + route);
        }
        assertThat(engine.preloads()).hasSize(JobEngine.MOST_PREFETCHES);

        engine.endPreloads();
        prefetch(options, "later");
        assertThat(engine.preloads()).contains(AdapterStack.of("later"));
        held.close();
    }
}
