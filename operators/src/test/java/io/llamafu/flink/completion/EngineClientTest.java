package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.RemoteStore;
import io.llamafu.testing.LoggedMessages;
import io.llamafu.testing.TinyModel;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Function;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class EngineClientTest {
    @TempDir
    private Path folder;

    private final ScriptedEngine engine = new ScriptedEngine();

    private EngineClient open(
            LlamafuOptions options, OptionalInt gpu, Function<EngineOptions, SharedEngines.Lease> engines) {
        TaskManager taskManager = new TaskManager(folder, Optional.of(new TaskManager.Memory(0, 0)), gpu);
        return EngineClient.open(options, taskManager, engines, new UnregisteredMetricsGroup());
    }

    @Test
    void engineIsAskedForWithTheGpuOfTheTaskManager() {
        LlamafuOptions options =
                LlamafuOptions.builder().model("base.gguf").gpuLayers(-1).build();
        List<EngineOptions> asked = new ArrayList<>();
        Function<EngineOptions, SharedEngines.Lease> engines = wanted -> {
            asked.add(wanted);
            return engine.lease();
        };
        try (EngineClient client = open(options, OptionalInt.of(2), engines)) {
            assertThat(client.engine()).as("nothing is remote").isSameAs(engine);
        }
        assertThat(asked)
                .containsExactly(EngineOptions.builder(Path.of("base.gguf"))
                        .gpuLayers(-1)
                        .gpuDevice(2)
                        .answerMemo(8L << 20)
                        .build());
        assertThat(engine.closedLeases()).isEqualTo(1);
    }

    /** Including one that an SQL function opened: the engine of this job itself takes no memory. */
    @Test
    void warningOfShortMemoryCountsAllEnginesOfTheTaskManager() {
        EngineOptions other = EngineOptions.builder(TinyModel.model())
                .contextSize(64)
                .threads(1)
                .build();
        try (SharedEngines.Lease held = SharedEngines.acquire(other);
                LoggedMessages messages = new LoggedMessages(NativeMemory.class.getName())) {
            assertThat(held.engine().metrics().memory().total()).isPositive();
            open(
                            LlamafuOptions.builder().model("base.gguf").build(),
                            OptionalInt.empty(),
                            wanted -> new SharedEngines.Lease(engine, true, () -> {}))
                    .close();

            assertThat(messages.all())
                    .singleElement()
                    .asString()
                    .contains("native memory", "taskmanager.memory.task.off-heap.size is 0 bytes");
        }
    }

    /** Once it is closed, the code that would close them can no longer be loaded. */
    @Test
    void enginesAreClosedBeforeTheClassLoaderOfTheirJob() {
        List<String> hooks = new ArrayList<>();
        TaskManager ofAJobsJar = new TaskManager(
                folder, Optional.empty(), OptionalInt.empty(), (name, action) -> hooks.add(name), false);

        EngineClient.open(
                        LlamafuOptions.builder().model("base.gguf").build(),
                        ofAJobsJar,
                        wanted -> engine.lease(),
                        new UnregisteredMetricsGroup())
                .close();

        assertThat(hooks).containsExactly("llamafu-engines");
    }

    @Test
    void failureToOpenNamesTheUriAndGivesTheFilesBack() throws Exception {
        RemoteStore store = RemoteStore.over(Files.createDirectories(folder.resolve("remote")));
        store.publish("base.gguf", new byte[10]);
        LlamafuOptions options = LlamafuOptions.builder()
                .model(store.uri("base.gguf").toString())
                .build();
        Function<EngineOptions, SharedEngines.Lease> engines = wanted -> {
            assertThat(wanted.model()).hasSize(10);
            throw new LlamafuException(ErrorCode.MODEL_INVALID, "It is no model.");
        };
        assertThatThrownBy(() -> open(options, OptionalInt.empty(), engines))
                .hasMessageContainingAll(store.uri("base.gguf").toString(), "It is no model.")
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.MODEL_INVALID));
        assertThat(folder.resolve("llamafu-cache/sessions")).isEmptyDirectory();
    }

    private static LlamafuOptions budget(String size) {
        return LlamafuOptions.fromMap(Map.of("model", "base.gguf", "adapters.memory-budget", size));
    }

    private EngineClient open(LlamafuOptions options) {
        return open(options, OptionalInt.empty(), wanted -> {
            engine.adapterBudget(wanted.adapterMemoryBudget().orElseThrow());
            return engine.lease();
        });
    }

    private static void prefetch(LlamafuOptions options, String... stacks) {
        for (String stack : stacks) {
            new EnginePrefetch(options).prefetch(AdapterStack.parse(stack));
        }
    }

    @Test
    void stacksOfRoutesAreLoadedByTheEngineOfTheirOptions() {
        LlamafuOptions options = budget("1 kb");
        prefetch(options, "before");
        EngineClient client = open(options);
        prefetch(options, "medical:0.5+formal", "", "legal");
        prefetch(budget("2 kb"), "other");
        client.close();
        prefetch(options, "after");

        assertThat(engine.preloads())
                .containsExactly(AdapterStack.parse("medical:0.5+formal"), AdapterStack.parse("legal"));
    }

    @Test
    void routesTakeNoAdaptersPlaceAndNeedABudget() {
        for (LlamafuOptions options : List.of(budget("5 bytes"), budget("0 bytes"))) {
            EngineClient client = open(options);
            prefetch(options, "medical+legal");
            client.close();
        }

        assertThat(engine.preloads()).isEmpty();
    }

    @Test
    void routesDoNotFloodTheEngine() {
        LlamafuOptions options = budget("1 kb");
        EngineClient client = open(options);
        for (int route = 0; route < 1000; route++) {
            prefetch(options, "a" + route);
        }
        assertThat(engine.preloads()).hasSize(EnginePrefetch.MOST_LOADS);

        engine.endPreloads();
        prefetch(options, "later");
        assertThat(engine.preloads()).contains(AdapterStack.of("later"));
        client.close();
    }
}
