package io.llamafu.flink.completion;

import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SharedEngines;
import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class NativeMemoryTest {
    private static final long MB = 1 << 20;
    private static final NativeMemory ENGINE = new NativeMemory(List.of(engine(100 * MB)));

    private static SharedEngines.Usage engine(long adapterBudget) {
        EngineOptions options = EngineOptions.builder(Path.of("base.gguf"))
                .adapterMemoryBudget(adapterBudget)
                .build();
        return new SharedEngines.Usage(options, new EngineMetrics.Memory(1000 * MB, 200 * MB, 50 * MB, 0));
    }

    private static NativeMemory.Limits limits(long process, long heap, long taskOffHeap, long managed) {
        return new NativeMemory.Limits(process * MB, heap * MB, new TaskManager.Memory(taskOffHeap * MB, managed * MB));
    }

    @Test
    void enoughIsNoWarning() {
        assertThat(ENGINE.shortage(limits(4096, 1024, 1350, 512))).isEmpty();
    }

    @Test
    void tooLittleTaskOffHeapMemoryIsNamedWithTheFigures() {
        assertThat(ENGINE.shortage(limits(4096, 1024, 1349, 512))).hasValueSatisfying(warning -> assertThat(warning)
                .contains(
                        "1.318gb (1415577600 bytes) of native memory",
                        "weights 1000.000mb",
                        "key-value cache 200.000mb",
                        "scratch 50.000mb",
                        "adapters up to 100.000mb",
                        "taskmanager.memory.task.off-heap.size is 1.317gb (1414529024 bytes); set it to 1.318gb")
                .doesNotContain("the process may use"));
    }

    @Test
    void tooSmallAProcessIsNamedWithTheFigures() {
        assertThat(ENGINE.shortage(limits(2000, 400, 1350, 251))).hasValueSatisfying(warning -> assertThat(warning)
                .contains("the process may use 1.953gb", "heap can take 400.000mb", "managed memory 251.000mb")
                .doesNotContain("off-heap.size is"));
        assertThat(ENGINE.shortage(limits(2000, 400, 1350, 250))).isEmpty();
    }

    @Test
    void bothReasonsAreOneWarning() {
        assertThat(new NativeMemory(List.of(engine(0))).shortage(limits(1000, 400, 0, 0)))
                .hasValueSatisfying(warning -> assertThat(warning)
                        .contains(
                                "adapters, which have no budget",
                                "taskmanager.memory.task.off-heap.size is 0 bytes",
                                "; and the process may use"));
    }

    @Test
    void allEnginesOfTheTaskManagerCount() {
        NativeMemory two = new NativeMemory(List.of(engine(100 * MB), engine(50 * MB)));
        assertThat(two.shortage(limits(8192, 1024, 2650, 512))).isEmpty();
        assertThat(two.shortage(limits(8192, 1024, 2649, 512))).hasValueSatisfying(warning -> assertThat(warning)
                .startsWith("The 2 engines of this TaskManager need 2.588gb")
                .contains("weights 1.953gb", "key-value cache 400.000mb", "adapters up to 150.000mb"));
        assertThat(new NativeMemory(List.of(engine(100 * MB), engine(0))).shortage(limits(8192, 1024, 0, 512)))
                .hasValueSatisfying(warning -> assertThat(warning).contains("adapters, which have no budget"));
    }

    /** It is half of what is left, so asking for more memory would only raise it. */
    @Test
    void defaultBudgetIsNotAskedFor() {
        EngineOptions options = EngineOptions.builder(Path.of("base.gguf")).build();
        NativeMemory engine = new NativeMemory(
                List.of(new SharedEngines.Usage(options, new EngineMetrics.Memory(1000 * MB, 200 * MB, 50 * MB, MB))));
        assertThat(engine.shortage(limits(4096, 1024, 1251, 512))).isEmpty();
        assertThat(engine.shortage(limits(4096, 1024, 1250, 512))).hasValueSatisfying(warning -> assertThat(warning)
                .contains("for which adapters.memory-budget is not set"));
    }

    @Test
    void limitsOfThisProcessAreKnown() {
        NativeMemory.Limits limits = NativeMemory.Limits.of(new TaskManager.Memory(0, 0));
        assertThat(limits.process()).isPositive();
        assertThat(limits.heap()).isEqualTo(Runtime.getRuntime().maxMemory());
    }
}
