package io.llamafu.flink.completion;

import org.apache.flink.api.common.externalresource.ExternalResourceInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.streaming.api.functions.async.ResultFuture;
import org.apache.flink.streaming.api.functions.async.RichAsyncFunction;
import org.apache.flink.streaming.util.MockStreamingRuntimeContext;
import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;

class TaskManagerTest {

    /** A subtask of a TaskManager with GPUs. */
    private static final class WithGpus extends MockStreamingRuntimeContext {
        private final Set<ExternalResourceInfo> gpus = new LinkedHashSet<>();

        WithGpus(String... indexes) {
            super(1, 0);
            Arrays.stream(indexes).map(Gpu::new).forEach(gpus::add);
        }

        @Override
        public Set<ExternalResourceInfo> getExternalResourceInfos(String resource) {
            return resource.equals("gpu") ? gpus : Set.of();
        }
    }

    private record Gpu(String index) implements ExternalResourceInfo {
        @Override
        public Optional<String> getProperty(String key) {
            return key.equals("index") ? Optional.of(index) : Optional.empty();
        }

        @Override
        public Collection<String> getKeys() {
            return List.of("index");
        }
    }

    @Test
    void gpuIsTheOneThatFlinkGave() {
        assertThat(TaskManager.of(new WithGpus("3")).gpu()).hasValue(3);
        assertThat(TaskManager.of(new WithGpus("7", "5", "6")).gpu())
                .as("the lowest, so that all subtasks take the same")
                .hasValue(5);
        assertThat(TaskManager.of(new WithGpus()).gpu()).isEmpty();
        assertThat(TaskManager.of(new WithGpus("GPU-1f2e")).gpu())
                .as("no index")
                .isEmpty();
    }

    @Test
    void temporaryFolderIsTheTaskManagers() {
        assertThat(TaskManager.of(new WithGpus()).temporaryFolder()).matches(Files::isDirectory);
    }

    /** The operators of such functions show a context of their own. */
    private static final class Asynchronous extends RichAsyncFunction<String, String> {
        private static final long serialVersionUID = 1L;

        @Override
        public void asyncInvoke(String input, ResultFuture<String> result) {
            throw new AssertionError("not asked");
        }
    }

    @Test
    void contextsThatHideTheTaskAreSeenThrough() {
        WithGpus task = new WithGpus("3");
        Asynchronous function = new Asynchronous();
        function.setRuntimeContext(task);

        assertThat(RuntimeContexts.ofTask(function.getRuntimeContext())).hasValue(task);
        TaskManager taskManager = TaskManager.of(function.getRuntimeContext(), Set.of(new Gpu("4")));
        assertThat(taskManager.memory()).isPresent();
        assertThat(taskManager.gpu()).hasValue(4);
    }

    @Test
    void contextThatIsHiddenElsewhereIsNoError() {
        assertThat(TaskManager.of("no context", Set.of()).memory()).isEmpty();
    }

    @Test
    void memoryIsReadFromTheConfiguration() {
        Configuration configuration = new Configuration();
        assertThat(TaskManager.Memory.of(configuration)).isEqualTo(new TaskManager.Memory(0, 0));
        configuration.set(TaskManagerOptions.TASK_OFF_HEAP_MEMORY, MemorySize.parse("3 gb"));
        configuration.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.parse("512 mb"));
        assertThat(TaskManager.Memory.of(configuration)).isEqualTo(new TaskManager.Memory(3L << 30, 512L << 20));
    }
}
