package io.llamafu.flink.completion;

import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.externalresource.ExternalResourceInfo;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.runtime.taskmanager.TaskManagerRuntimeInfo;
import org.apache.flink.streaming.api.operators.StreamingRuntimeContext;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * A subtask's view of its TaskManager.
 *
 * @param temporaryFolder the first of its folders for temporary files
 * @param memory its configured memory; empty if unknown
 * @param gpu the index of the GPU that Flink assigned to it; the lowest if there are several
 * @param classLoader the class loader of the job
 * @param firstAttempt whether the subtask has not run before in this job; false if unknown
 */
@Internal
public record TaskManager(
        Path temporaryFolder,
        Optional<Memory> memory,
        OptionalInt gpu,
        UserCodeClassLoader classLoader,
        boolean firstAttempt) {

    /** The name of the external resource, as in Flink's documentation of its GPU plugin. */
    public static final String GPU_RESOURCE = "gpu";

    private static final String GPU_INDEX = "index";

    /**
     * Configured memory in bytes.
     *
     * @param taskOffHeap memory of the operators outside the heap
     * @param managed memory of the state backends outside the heap
     */
    public record Memory(long taskOffHeap, long managed) {
        static Memory of(Configuration configuration) {
            return new Memory(
                    configuration.get(TaskManagerOptions.TASK_OFF_HEAP_MEMORY).getBytes(),
                    configuration
                            .getOptional(TaskManagerOptions.MANAGED_MEMORY_SIZE)
                            .map(MemorySize::getBytes)
                            .orElse(0L));
        }
    }

    /** The class loader of a job's code, which Flink closes when the job has ended here. */
    @FunctionalInterface
    public interface UserCodeClassLoader {
        /**
         * Runs an action before it is closed, if it has loaded this class.
         *
         * @param name of the action; a name can have only one
         */
        void beforeClosing(String name, Runnable action);

        /** A class loader that contains Flink and is never closed. */
        static UserCodeClassLoader lasting() {
            return (name, action) -> {};
        }

        private static UserCodeClassLoader of(RuntimeContext context) {
            return TaskManager.class.getClassLoader() == RuntimeContext.class.getClassLoader()
                    ? lasting()
                    : context::registerUserCodeClassLoaderReleaseHookIfAbsent;
        }
    }

    public TaskManager {
        checkNotNull(temporaryFolder, "temporaryFolder is null");
        checkNotNull(memory, "memory is null");
        checkNotNull(gpu, "gpu is null");
        checkNotNull(classLoader, "classLoader is null");
    }

    TaskManager(Path temporaryFolder, Optional<Memory> memory, OptionalInt gpu) {
        this(temporaryFolder, memory, gpu, UserCodeClassLoader.lasting(), false);
    }

    /** As seen by a DataStream operator. */
    static TaskManager of(RuntimeContext context) {
        return of(context, context.getExternalResourceInfos(GPU_RESOURCE));
    }

    /**
     * As seen by a function, whose context hides the context of its task.
     *
     * @param context such as a {@code FunctionContext} of SQL
     * @param gpus the external resources of the name {@link #GPU_RESOURCE}
     */
    public static TaskManager of(Object context, Set<ExternalResourceInfo> gpus) {
        return RuntimeContexts.ofTask(context)
                .map(found -> of(found, gpus))
                .orElseGet(() ->
                        new TaskManager(Path.of(System.getProperty("java.io.tmpdir")), Optional.empty(), gpu(gpus)));
    }

    private static TaskManager of(StreamingRuntimeContext context, Set<ExternalResourceInfo> gpus) {
        TaskManagerRuntimeInfo info = context.getTaskManagerRuntimeInfo();
        return new TaskManager(
                Path.of(info.getTmpDirectories()[0]),
                Optional.of(Memory.of(info.getConfiguration())),
                gpu(gpus),
                UserCodeClassLoader.of(context),
                context.getTaskInfo().getAttemptNumber() == 0);
    }

    private static OptionalInt gpu(Set<ExternalResourceInfo> resources) {
        return resources.stream()
                .flatMap(resource -> resource.getProperty(GPU_INDEX).stream())
                .filter(index -> index.matches("\\d{1,9}"))
                .mapToInt(Integer::parseInt)
                .min();
    }
}
