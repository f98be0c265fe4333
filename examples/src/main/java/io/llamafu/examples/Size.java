package io.llamafu.examples;

import io.llamafu.adapter.AdapterSize;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessSpec;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.Callable;

/** Computes the memory of a TaskManager before there is one. */
@Command(
        name = "examples/run size",
        description =
                "Computes the memory that a TaskManager needs for a model and its adapters, and prints the options of"
                        + " Flink and Llamafu for it. Reads the header of the model only.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
public final class Size implements Callable<Integer> {
    private static final long MB = 1 << 20;
    /** The library, the vocabulary, and what llama.cpp allocates outside its buffers. */
    private static final long LIBRARY_BYTES = 64 * MB;
    /** An engine keeps as many buffers of freed adapters for the next ones. */
    private static final int KEPT_BUFFERS = 2;

    @Option(names = "--model", required = true, paramLabel = "FILE", description = "The GGUF model.")
    private Path model;

    @Option(
            names = "--sequences",
            paramLabel = "N",
            defaultValue = "16",
            description = "The option parallel-sequences. Default: ${DEFAULT-VALUE}.")
    private int sequences;

    @Option(
            names = "--context",
            paramLabel = "N",
            defaultValue = "2048",
            description =
                    "The option context-size: the most tokens of a prompt with its answer. Default: ${DEFAULT-VALUE}.")
    private int context;

    @Option(
            names = "--batch",
            paramLabel = "N",
            defaultValue = "512",
            description = "The option batch-size. Default: ${DEFAULT-VALUE}.")
    private int batch;

    @Option(
            names = "--adapters",
            paramLabel = "N",
            defaultValue = "0",
            description = "Adapters in memory at a time. Default: ${DEFAULT-VALUE}.")
    private int adapters;

    @Option(
            names = "--rank",
            paramLabel = "N",
            defaultValue = "16",
            description = "Their rank. Default: ${DEFAULT-VALUE}.")
    private long rank;

    @Option(
            names = "--modules",
            paramLabel = "NAME",
            split = ",",
            description = "The modules that they adapt, by their GGUF names: attn_q,attn_v. Default: all linear ones.")
    private Set<String> modules = Set.copyOf(AdapterSize.USUAL_MODULES);

    @Option(
            names = "--task-heap",
            paramLabel = "SIZE",
            defaultValue = "1 gb",
            description = "JVM heap of the job. Default: ${DEFAULT-VALUE}.")
    private String taskHeap;

    @Option(
            names = "--managed",
            paramLabel = "SIZE",
            defaultValue = "512 mb",
            description = "Flink's managed memory, for RocksDB. Default: ${DEFAULT-VALUE}.")
    private String managed;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    public static void main(String[] arguments) {
        Examples.runAndExit("size", new Size(), arguments);
    }

    @Override
    public Integer call() {
        if (adapters < 0 || rank < 1) {
            throw new CommandLine.ParameterException(
                    spec.commandLine(), "--adapters must be 0 or more, and --rank 1 or more.");
        }
        EngineOptions engine = EngineOptions.builder(model)
                .contextSize(context)
                .parallelSequences(sequences)
                .batchSize(batch)
                .build();
        EngineMetrics.Memory memory = SharedEngines.plannedMemory(engine);
        AdapterSize adapter = AdapterSize.of(model, rank, modules);
        long budget = roundedUp(adapters * adapter.fileBytes());
        long kept = adapters == 0 ? 0 : KEPT_BUFFERS * adapter.memoryBytes();
        long offHeap = roundedUp(memory.total() + budget + kept + LIBRARY_BYTES);

        PrintWriter out = spec.commandLine().getOut();
        print(out, "weights", memory.model());
        print(out, "cache", memory.context());
        print(out, "scratch", memory.compute());
        print(out, "adapters", adapters * adapter.memoryBytes());
        print(out, "one adapter", adapter.memoryBytes());
        print(out, "other", kept + LIBRARY_BYTES);
        out.println();
        printFlink(out, offHeap);
        out.println();
        printLlamafu(out, roundedUp(memory.total()), budget);
        out.flush();
        return 0;
    }

    private void printFlink(PrintWriter out, long offHeap) {
        Configuration flink = new Configuration();
        flink.set(TaskManagerOptions.TASK_HEAP_MEMORY, MemorySize.parse(taskHeap));
        flink.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.parse(managed));
        flink.set(TaskManagerOptions.TASK_OFF_HEAP_MEMORY, new MemorySize(offHeap));
        TaskExecutorProcessSpec process = TaskExecutorProcessUtils.processSpecFromConfig(flink);
        out.println("# Flink's configuration. The process, and so its container, takes %s."
                .formatted(text(process.getTotalProcessMemorySize().getBytes())));
        flink.toMap()
                .forEach((key, value) ->
                        out.println(key + ": " + text(MemorySize.parse(value).getBytes())));
    }

    private void printLlamafu(PrintWriter out, long memoryBudget, long adapterBudget) {
        out.println("# Llamafu's options");
        out.println("parallel-sequences: " + sequences);
        out.println("context-size: " + context);
        out.println("batch-size: " + batch);
        out.println("memory-budget: " + text(memoryBudget));
        if (adapters > 0) {
            out.println("adapters.memory-budget: " + text(adapterBudget));
        }
    }

    private static long roundedUp(long bytes) {
        return (bytes + MB - 1) / MB * MB;
    }

    private static String text(long bytes) {
        return (bytes + MB - 1) / MB + "mb";
    }

    private static void print(PrintWriter out, String key, long bytes) {
        out.println("%-12s %15d bytes".formatted(key, bytes));
    }
}
