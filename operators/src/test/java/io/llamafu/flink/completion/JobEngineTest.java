package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.RemoteStore;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
}
