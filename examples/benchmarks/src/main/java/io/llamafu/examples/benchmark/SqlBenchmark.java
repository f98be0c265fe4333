package io.llamafu.examples.benchmark;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.configuration.MemorySize;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;

/** The overhead of SQL, compared with the equivalent DataStream job. */
@Command(
        name = "sql",
        description = {
            "LLM_TRY_COMPLETE in 1, 4 and 16 subtasks and ML_PREDICT in one, compared with the"
                    + " DataStream job in one, on the 135M model.",
            "",
            "All send the same requests, spread over eight adapters, to one engine. Tokens of the"
                    + " answers over the run time of the job, including its start."
        },
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
final class SqlBenchmark implements Callable<Integer> {
    private static final int RANK = 16;
    private static final int ADAPTERS = 8;
    private static final int SEQUENCES = 16;
    private static final int CONTEXT = 256;
    private static final int QUICK_TOKENS = 8;
    private static final String DATA_STREAM = "DataStream";

    @Option(
            names = "--quick",
            description = "Few requests with short answers: checks that the benchmark works; the figures mean little.")
    private boolean quick;

    @Option(
            names = "--rounds",
            paramLabel = "N",
            defaultValue = "3",
            description = "Rounds; the result is their median.")
    private int rounds;

    @Option(names = "--requests", paramLabel = "N", defaultValue = "128", description = "Requests per run.")
    private int requests;

    @Option(
            names = "--tokens",
            paramLabel = "N",
            defaultValue = "64",
            description = "Tokens of each prompt and each answer.")
    private int tokens;

    @Option(
            names = "--threads",
            paramLabel = "N",
            defaultValue = "0",
            description = "CPU threads of the model; 0 is all processors.")
    private int threads;

    private final RandomModels files = RandomModels.inCacheFolder();

    /** Different prompts each time, so that no prefix cache has them. */
    private long nextSeed = 1;

    @Override
    public Integer call() throws Exception {
        BenchmarkOptions.warnIfBusy();
        // A discarded run that opens the model, loads the adapters and warms up the JVM.
        Map<String, SqlContest.Run> quickEntries = entries(contest(SEQUENCES, QUICK_TOKENS));
        measure(quickEntries, 0);
        Map<String, SqlContest.Run> entries = quick ? quickEntries : entries(contest(requests, tokens));
        Map<String, List<Double>> speeds = new LinkedHashMap<>();
        for (int round = 1; round <= (quick ? 1 : rounds); round++) {
            measure(entries, round).forEach((name, speed) -> speeds.computeIfAbsent(name, unused -> new ArrayList<>())
                    .add(speed));
        }
        System.out.print(table(speeds));
        return 0;
    }

    private static Map<String, SqlContest.Run> entries(SqlContest contest) {
        Map<String, SqlContest.Run> entries = new LinkedHashMap<>();
        entries.put(DATA_STREAM, contest::dataStream);
        entries.put("ML_PREDICT", contest::mlPredict);
        for (int parallelism : new int[] {1, 4, SEQUENCES}) {
            entries.put(
                    "LLM_TRY_COMPLETE, %d subtasks".formatted(parallelism),
                    seed -> contest.function(parallelism, seed));
        }
        return entries;
    }

    private SqlContest contest(int requestsOfARun, int tokensOfEach) throws Exception {
        LlamafuOptions.Builder options = LlamafuOptions.builder()
                .model(files.model(RandomModel.SMALL).toString())
                .adapters(files.adapters(RandomModel.SMALL, RANK, ADAPTERS).toString())
                .contextSize(CONTEXT)
                .parallelSequences(SEQUENCES)
                .answerMemo(MemorySize.ZERO)
                .maxTokens(tokensOfEach);
        if (threads != 0) {
            options.threads(threads);
        }
        return new SqlContest(options.build(), requestsOfARun, tokensOfEach, ADAPTERS);
    }

    /** In turn, so that other load on the machine affects all. */
    private Map<String, Double> measure(Map<String, SqlContest.Run> entries, int round) throws Exception {
        Map<String, Double> speeds = new LinkedHashMap<>();
        for (Map.Entry<String, SqlContest.Run> entry : entries.entrySet()) {
            double speed = entry.getValue().tokensPerSecond(nextSeed++);
            System.err.printf(Locale.ROOT, "round %d  %-29s %7.1f tokens/s%n", round, entry.getKey(), speed);
            speeds.put(entry.getKey(), speed);
        }
        return speeds;
    }

    private static double median(List<Double> speeds) {
        return Contest.median(speeds.stream().mapToDouble(Double::doubleValue).toArray());
    }

    private static String table(Map<String, List<Double>> speeds) {
        double dataStream = median(speeds.get(DATA_STREAM));
        StringBuilder table = new StringBuilder("| job | tokens/s | x DataStream |\n|---|--:|--:|\n");
        speeds.forEach((name, ofJob) -> table.append(
                String.format(Locale.ROOT, "| %s | %.1f | %.3f |%n", name, median(ofJob), median(ofJob) / dataStream)));
        return table.toString();
    }
}
