package io.llamafu.examples.benchmark;

import io.llamafu.engine.EngineOptions;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/**
 * The cost of scheduling, sampling and text beyond llama.cpp's own work: the engine compared with {@code
 * llama-batched-bench}, which decodes random tokens and samples none.
 */
@Command(
        name = "engine",
        description = {
            "The engine alone: 16 sequences, prompts and answers of 128 tokens, without adapters and"
                    + " with one for all.",
            "",
            "The same work as 'llama-batched-bench -m MODEL -c 4096 -b 2048 -ub 512 -npp 128 -ntg 128 -npl 16 -t N -tb N',"
                    + " which --batched-bench runs in turn with the engine. Build it from the same llama.cpp, for the same"
                    + " instruction set (GGML_NATIVE=ON)."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class EngineBenchmark implements Callable<Integer> {
    private static final int RANK = 16;
    private static final int SEQUENCES = 16;
    private static final int PROMPT_TOKENS = 128;
    private static final int TOKENS = 128;
    private static final int QUICK_TOKENS = 32;

    @Mixin
    private BenchmarkOptions options;

    @Option(
            names = "--batched-bench",
            paramLabel = "PROGRAM",
            description = "A llama-batched-bench executable, run in turn with the engine.")
    private Path batchedBench;

    private final RandomModels files = RandomModels.inCacheFolder();
    private final List<Result> results = new ArrayList<>();

    private record Entry(String engine, int adapters) {
        String key() {
            return "%s: %d adapters".formatted(engine, adapters);
        }
    }

    @Override
    public Integer call() throws Exception {
        BenchmarkOptions.warnIfBusy();
        for (RandomModel model : options.models()) {
            measure(model);
        }
        options.report(
                "engine",
                "Engine alone: decode of 16 sequences on %d CPU threads".formatted(options.threads()),
                results,
                List.of());
        return 0;
    }

    private void measure(RandomModel model) throws Exception {
        System.err.printf("%n%s%n", model);
        Workload workload = new Workload(SEQUENCES, 0, PROMPT_TOKENS, options.isQuick() ? QUICK_TOKENS : TOKENS);
        EngineOptions.Builder engine =
                NativeEngine.options(files.model(model), files.adapters(model, RANK, 1), workload, options.threads());
        try (Competitor grouped = NativeEngine.GROUPED.open(engine);
                Competitor mixed = NativeEngine.NOT_PACKED.open(engine)) {
            List<Entry> entries = new ArrayList<>();
            Contest contest = new Contest();
            for (int adapters : new int[] {0, 1}) {
                Entry mixedEntry = new Entry(NativeEngine.NOT_PACKED.title(), adapters);
                Entry groupedEntry = new Entry(NativeEngine.GROUPED.title(), adapters);
                entries.add(mixedEntry);
                entries.add(groupedEntry);
                contest.add(mixedEntry.key(), mixed, workload.withAdapters(adapters));
                contest.add(groupedEntry.key(), grouped, workload.withAdapters(adapters));
            }
            if (batchedBench != null) {
                BatchedBench peer = new BatchedBench(batchedBench, files.model(model), options.threads());
                Entry entry = new Entry(BatchedBench.NAME, 0);
                entries.add(1, entry);
                contest.add(entry.key(), seed -> peer.measure(workload.withTokens(2)), seed -> peer.measure(workload));
            }
            Map<String, Workload.Speed> speeds = contest.run(options.rounds());
            for (Entry entry : entries) {
                results.add(result(Result.DECODE, model, entry, speeds));
            }
            for (Entry entry : entries) {
                results.add(result(Result.PREFILL, model, entry, speeds));
            }
        }
    }

    private static Result result(String phase, RandomModel model, Entry entry, Map<String, Workload.Speed> speeds) {
        double speed = speed(phase, speeds.get(entry.key()));
        Workload.Speed peer = speeds.get(new Entry(BatchedBench.NAME, 0).key());
        return new Result(
                phase,
                entry.engine(),
                model.title(),
                entry.adapters(),
                SEQUENCES,
                entry.adapters() == 0 ? 0 : RANK,
                speed,
                speed / speed(phase, speeds.get(new Entry(NativeEngine.GROUPED.title(), 1).key())),
                speed / speed(phase, speeds.get(new Entry(NativeEngine.GROUPED.title(), 0).key())),
                null,
                peer == null ? null : speed / speed(phase, peer));
    }

    private static double speed(String phase, Workload.Speed speed) {
        return phase.equals(Result.DECODE) ? speed.decode() : speed.prefill();
    }
}
