package io.llamafu.flink.completion;

import com.sun.management.OperatingSystemMXBean;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.ToLongFunction;

/**
 * Compares what the engines of a TaskManager need outside the heap with what it has. Too little is not an error,
 * because the system can drop pages of mapped weights; but a container may be killed for it.
 *
 * @param engines all engines in memory
 */
record NativeMemory(List<SharedEngines.Usage> engines) {
    private static final Logger LOG = LoggerFactory.getLogger(NativeMemory.class);

    /**
     * The limits of the process.
     *
     * @param process bytes of the machine, or of the container if that has a limit
     * @param heap the maximum JVM heap
     * @param configured Flink's configuration
     */
    record Limits(long process, long heap, TaskManager.Memory configured) {

        static Limits of(TaskManager.Memory configured) {
            // The JVM respects the limits of control groups, version 1 and 2.
            OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
            return new Limits(system.getTotalMemorySize(), Runtime.getRuntime().maxMemory(), configured);
        }
    }

    /** Warns if the memory of the TaskManager is too small for all its engines. Does not throw. */
    static void warnIfShort(TaskManager taskManager) {
        try {
            taskManager
                    .memory()
                    .map(Limits::of)
                    .flatMap(limits -> new NativeMemory(SharedEngines.usage()).shortage(limits))
                    .ifPresent(LOG::warn);
        } catch (RuntimeException e) {
            LOG.warn("Could not tell whether the memory of the TaskManager is enough.", e);
        }
    }

    private long sum(ToLongFunction<SharedEngines.Usage> bytes) {
        return engines.stream().mapToLong(bytes).sum();
    }

    private long sumOf(ToLongFunction<EngineMetrics.Memory> bytes) {
        return sum(engine -> bytes.applyAsLong(engine.memory()));
    }

    /** A default budget is taken from what is left, so it needs no memory of its own. */
    private static long adapters(SharedEngines.Usage engine) {
        return Math.max(
                engine.memory().adapters(),
                engine.options().adapterMemoryBudget().orElse(0));
    }

    private long needed() {
        return sumOf(memory -> memory.model() + memory.context() + memory.compute()) + sum(NativeMemory::adapters);
    }

    private String adaptersNeed() {
        if (engines.stream()
                .anyMatch(engine -> engine.options().adapterMemoryBudget().orElse(1) == 0)) {
            return "and adapters, which have no budget";
        }
        return engines.stream()
                        .anyMatch(
                                engine -> engine.options().adapterMemoryBudget().isEmpty())
                ? "and adapters, for which adapters.memory-budget is not set"
                : "adapters up to " + text(sum(NativeMemory::adapters));
    }

    /** The limit that is too small, with the figures and the cure; empty if there is none. */
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
                : Optional.of("%s %s of native memory (weights %s, key-value cache %s, scratch %s, %s), but %s."
                        .formatted(
                                engines.size() == 1
                                        ? "The engine needs"
                                        : "The %d engines of this TaskManager need".formatted(engines.size()),
                                text(needed()),
                                text(sumOf(EngineMetrics.Memory::model)),
                                text(sumOf(EngineMetrics.Memory::context)),
                                text(sumOf(EngineMetrics.Memory::compute)),
                                adaptersNeed(),
                                String.join("; and ", reasons)));
    }

    private static String text(long bytes) {
        return new MemorySize(bytes).toHumanReadableString();
    }
}
