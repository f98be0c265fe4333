package io.llamafu.examples.benchmark;

import io.llamafu.flink.LlamafuOptions;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;

/** What SQL adds to the DataStream job that asks the same. */
@Command(
        name = "sql",
        description = {
            "LLM_COMPLETE in 1, 4 and 16 subtasks and ML_PREDICT in one, beside the DataStream job in one, on the 135M model.",
            "",
            "All ask the same requests, dealt to eight adapters, of one engine. Tokens of the answers over the run time of"
                    + " the job, its start included."
        },
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
final class SqlBenchmark implements Callable<Integer> {
    private static final int RANK = 16;
    private static final int ADAPTERS = 8;
    private static final int SEQUENCES = 16;
    private static final int CONTEXT = 256;
    private static final String DATA_STREAM = "DataStream";

    @Option(names = "--quick", description = "Few requests with short answers: whether it works, not how fast it is.")
    private boolean quick;

    @Option(names = "--rounds", paramLabel = "N", defaultValue = "3", description = "What counts is their median.")
    private int rounds;

    @Option(names = "--requests", paramLabel = "N", defaultValue = "128", description = "Of each run.")
    private int requests;

    @Option(names = "--tokens", paramLabel = "N", defaultValue = "64", description = "Of each prompt and each answer.")
    private int tokens;

    @Option(
            names = "--threads",
            paramLabel = "N",
            defaultValue = "0",
            description = "CPU threads of the model; 0: all processors.")
    private int threads;

    private final RandomModels files = RandomModels.inCacheFolder();

    @Override
    public Integer call() throws Exception {
        BenchmarkOptions.warnIfBusy();
        SqlContest contest = new SqlContest(options(), quick ? SEQUENCES : requests, quick ? 8 : tokens, ADAPTERS);
        Map<String, SqlContest.Run> entries = new LinkedHashMap<>();
        entries.put(DATA_STREAM, contest::dataStream);
        entries.put("ML_PREDICT", contest::mlPredict);
        for (int parallelism : new int[] {1, 4, SEQUENCES}) {
            entries.put(
                    "LLM_COMPLETE, %d subtasks".formatted(parallelism), seed -> contest.function(parallelism, seed));
        }
        System.out.print(table(measure(entries)));
        return 0;
    }

    private LlamafuOptions options() throws Exception {
        LlamafuOptions.Builder options = LlamafuOptions.builder()
                .model(files.model(RandomModel.SMALL).toString())
                .adapters(files.adapters(RandomModel.SMALL, RANK, ADAPTERS).toString())
                .contextSize(CONTEXT)
                .parallelSequences(SEQUENCES)
                .maxTokens(quick ? 8 : tokens);
        return threads == 0 ? options.build() : options.threads(threads).build();
    }

    /** In turn, so that a busy moment of the machine hits all; a first round, which opens the model, does not count. */
    private Map<String, Double> measure(Map<String, SqlContest.Run> entries) throws Exception {
        Map<String, List<Double>> speeds = new LinkedHashMap<>();
        long seed = 1;
        for (int round = 0; round <= (quick ? 1 : rounds); round++) {
            for (Map.Entry<String, SqlContest.Run> entry : entries.entrySet()) {
                double speed = entry.getValue().tokensPerSecond(seed++);
                System.err.printf(Locale.ROOT, "round %d  %-28s %7.1f tokens/s%n", round, entry.getKey(), speed);
                if (round > 0) {
                    speeds.computeIfAbsent(entry.getKey(), name -> new ArrayList<>())
                            .add(speed);
                }
            }
        }
        Map<String, Double> medians = new LinkedHashMap<>();
        speeds.forEach((name, list) -> medians.put(
                name,
                Contest.median(list.stream().mapToDouble(Double::doubleValue).toArray())));
        return medians;
    }

    private static String table(Map<String, Double> speeds) {
        StringBuilder table = new StringBuilder("| job | tokens/s | x DataStream |\n|---|--:|--:|\n");
        speeds.forEach((name, speed) -> table.append(
                String.format(Locale.ROOT, "| %s | %.1f | %.3f |%n", name, speed, speed / speeds.get(DATA_STREAM))));
        return table.toString();
    }
}
