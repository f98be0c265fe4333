package io.llamafu.flink.completion;

import com.sun.management.OperatingSystemMXBean;
import io.llamafu.engine.EngineMetrics;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What an engine needs outside of the heap, against what the TaskManager has. Too little is no error, because the weights
 * are mapped from a file and the system may do with fewer of their pages; but a container may be killed for it.
 *
 * @param engine bytes of the engine when it was opened
 * @param adapterBudget the most bytes of adapters; 0 if they have no limit
 */
record NativeMemory(EngineMetrics.Memory engine, long adapterBudget) {

    /**
     * What the process has.
     *
     * @param process bytes of the machine, or of the container if that has a limit
     * @param heap the most bytes of the JVM's heap
     * @param configured what Flink was told
     */
    record Limits(long process, long heap, TaskManager.Memory configured) {

        static Limits of(TaskManager.Memory configured) {
            // The JVM reads the limits of control groups, version 1 and 2.
            OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
            return new Limits(system.getTotalMemorySize(), Runtime.getRuntime().maxMemory(), configured);
        }
    }

    private long needed() {
        return engine.model() + engine.context() + engine.compute() + Math.max(engine.adapters(), adapterBudget);
    }

    /** What is too small, with the figures and the cure; empty if nothing is. */
    Optional<String> shortage(Limits limits) {
        List<String> reasons = new ArrayList<>();
        if (needed() > limits.configured().taskOffHeap()) {
            reasons.add("%s is %s; set it to %s or more, so that Flink asks for a container that is large enough"
                    .formatted(
                            TaskManagerOptions.TASK_OFF_HEAP_MEMORY.key(),
                            text(limits.configured().taskOffHeap()),
                            text(needed())));
        }
        long others = limits.heap() + limits.configured().managed();
        if (needed() > limits.process() - others) {
            reasons.add(
                    "the process may use %s, of which the heap can take %s and Flink's managed memory %s; it may be killed when it needs them all"
                            .formatted(
                                    text(limits.process()),
                                    text(limits.heap()),
                                    text(limits.configured().managed())));
        }
        return reasons.isEmpty()
                ? Optional.empty()
                : Optional.of(
                        "The engine needs %s of native memory (weights %s, key-value cache %s, scratch %s, %s), but %s."
                                .formatted(
                                        text(needed()),
                                        text(engine.model()),
                                        text(engine.context()),
                                        text(engine.compute()),
                                        adapterBudget > 0
                                                ? "adapters up to " + text(adapterBudget)
                                                : "and adapters, which have no budget",
                                        String.join("; and ", reasons)));
    }

    private static String text(long bytes) {
        return new MemorySize(bytes).toHumanReadableString();
    }
}
