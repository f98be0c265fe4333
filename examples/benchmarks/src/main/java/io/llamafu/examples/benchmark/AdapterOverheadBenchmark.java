package io.llamafu.examples.benchmark;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** The cost of adapters per request: time to first token, and time per further token. */
@Command(
        name = "adapter-overhead",
        description = "Time to first token and time per further token, under 0, 1, 2 and 4 stacked adapters"
                + " of rank 16, for a single sequence and for 16 under the same stack; prompts of 128"
                + " tokens.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class AdapterOverheadBenchmark implements Callable<Integer> {
    private static final int RANK = 16;
    private static final int[] STACKED = {0, 1, 2, 4};
    private static final int MOST_STACKED = 4;
    private static final int[] SEQUENCES = {1, 16};
    private static final int MOST_SEQUENCES = 16;
    private static final int PROMPT_TOKENS = 128;
    private static final int TOKENS = 64;
    private static final int QUICK_TOKENS = 16;

    @Mixin
    private BenchmarkOptions options;

    private final RandomModels files = RandomModels.inCacheFolder();
    private final List<Overhead> results = new ArrayList<>();

    private record Case(int sequences, int stacked) {}

    /** A line of the result, in milliseconds. */
    private record Overhead(
            String model,
            int sequences,
            int adaptersStacked,
            double firstTokenMillis,
            double firstTokenRatio,
            double nextTokenMillis,
            double nextTokenRatio) {
        private static Overhead of(RandomModel model, Case one, Times times, Times none) {
            return new Overhead(
                    model.title(),
                    one.sequences(),
                    one.stacked(),
                    times.firstToken(),
                    times.firstToken() / none.firstToken(),
                    times.nextToken(),
                    times.nextToken() / none.nextToken());
        }

        private void print() {
            System.out.printf(
                    Locale.ROOT,
                    "| %s | %d | %d | %.1f | %.2f | %.2f | %.2f |%n",
                    model,
                    sequences,
                    adaptersStacked,
                    firstTokenMillis,
                    firstTokenRatio,
                    nextTokenMillis,
                    nextTokenRatio);
        }
    }

    /** In milliseconds. */
    private record Times(double firstToken, double nextToken) {}

    @Override
    public Integer call() throws Exception {
        BenchmarkOptions.warnIfBusy();
        for (RandomModel model : options.models()) {
            measure(model);
        }
        System.out.println(
                "| model | sequences | adapters stacked | first token, ms | x none | next tokens, ms | x none |");
        System.out.println("|---|--:|--:|--:|--:|--:|--:|");
        results.forEach(Overhead::print);
        options.output().write(results, "adapter-overhead", chart(results));
        return 0;
    }

    private void measure(RandomModel model) throws Exception {
        int tokens = options.isQuick() ? QUICK_TOKENS : TOKENS;
        Workload workload = new Workload(MOST_SEQUENCES, MOST_STACKED, PROMPT_TOKENS, tokens);
        Map<Case, List<Times>> times = new LinkedHashMap<>();
        try (InferenceEngine engine = open(model, workload)) {
            long seed = 1;
            // a warm-up round, which is discarded
            for (int round = 0; round <= options.rounds(); round++) {
                for (int sequences : SEQUENCES) {
                    for (int stacked : STACKED) {
                        Times measured = times(engine, sequences, stack(stacked), tokens, seed++);
                        if (round > 0) {
                            times.computeIfAbsent(new Case(sequences, stacked), key -> new ArrayList<>())
                                    .add(measured);
                        }
                    }
                }
            }
        }
        times.forEach((one, measured) -> results.add(
                Overhead.of(model, one, median(measured), median(times.get(new Case(one.sequences(), 0))))));
    }

    private InferenceEngine open(RandomModel model, Workload workload) throws IOException {
        return EngineCompetitor.requiredProvider("native")
                .open(NativeEngine.options(
                                files.model(model),
                                files.adapters(model, RANK, MOST_STACKED),
                                workload,
                                options.threads())
                        .build());
    }

    private static AdapterStack stack(int adapters) {
        return AdapterStack.parse(IntStream.range(0, adapters)
                .mapToObj(adapter -> RandomModels.adapterName(adapter) + ":" + 1.0 / adapters)
                .collect(Collectors.joining("+")));
    }

    /** The last first token of all, and the remaining time of the longest answer divided by its tokens. */
    private static Times times(InferenceEngine engine, int sequences, AdapterStack stack, int tokens, long seed)
            throws Exception {
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        for (int i = 0; i < sequences; i++) {
            answers.add(
                    engine.submit(CompletionRequest.of(RandomVocabulary.prompt(PROMPT_TOKENS, seed * 1000 + i), stack)
                            .withMaxTokens(tokens)));
        }
        double firstToken = 0;
        double total = 0;
        for (CompletableFuture<CompletionResult> answer : answers) {
            CompletionResult.Timings timings = answer.get().timings();
            firstToken = Math.max(firstToken, timings.firstTokenMillis());
            total = Math.max(total, timings.totalMillis());
        }
        return new Times(firstToken, (total - firstToken) / (tokens - 1));
    }

    private static Times median(List<Times> times) {
        return new Times(
                Percentiles.of(times.stream().map(Times::firstToken).toList()).median(),
                Percentiles.of(times.stream().map(Times::nextToken).toList()).median());
    }

    private static BarChart chart(List<Overhead> results) {
        BarChart chart = new BarChart("Adapters stacked on each sequence");
        for (Overhead result : results) {
            if (result.adaptersStacked() == 0) {
                chart.group("%s, %d sequences, ms a token".formatted(result.model(), result.sequences()));
            }
            chart.bar(result.adaptersStacked() + " adapters", result.nextTokenMillis(), result.adaptersStacked() > 0);
        }
        return chart;
    }
}
