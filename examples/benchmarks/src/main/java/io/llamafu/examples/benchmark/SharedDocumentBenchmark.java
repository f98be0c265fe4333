package io.llamafu.examples.benchmark;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** What several tasks on one document cost, each with an adapter of its own. */
@Command(
        name = "shared-document",
        description =
                "Eight tasks on one new document of 512 tokens, each with its own adapter of rank 16 and an answer of"
                        + " 8 tokens, against one task: with activated adapters (aLoRA), which share the prefill of the"
                        + " document, and with ordinary ones.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class SharedDocumentBenchmark implements Callable<Integer> {
    private static final int RANK = 16;
    private static final int TASKS = 8;
    private static final int DOCUMENT_TOKENS = 512;
    private static final int CELLS = 768;
    private static final int TOKENS = 8;

    @Mixin
    private BenchmarkOptions options;

    private final RandomModels files = RandomModels.inCacheFolder();
    private final List<Cost> results = new ArrayList<>();
    private long seed;

    /** A line of the result, in milliseconds. */
    private record Cost(String model, String adapters, double oneTask, double eightTasks, double ratio) {
        private void print() {
            System.out.printf(
                    Locale.ROOT, "| %s | %s | %.0f | %.0f | %.2f |%n", model, adapters, oneTask, eightTasks, ratio);
        }
    }

    @Override
    public Integer call() throws Exception {
        BenchmarkOptions.warnIfBusy();
        for (RandomModel model : options.models()) {
            Path activated = files.activatedAdapters(model, RANK, TASKS);
            Path ordinary = files.adapters(model, RANK, TASKS);
            results.add(measure(model, "activated", activated));
            results.add(measure(model, "ordinary", ordinary));
        }
        System.out.println("| model | adapters | one task, ms | eight tasks, ms | x one |");
        System.out.println("|---|---|--:|--:|--:|");
        results.forEach(Cost::print);
        options.output().write(results, "shared-document", chart(results));
        return 0;
    }

    private Cost measure(RandomModel model, String title, Path adapters) throws Exception {
        List<Double> one = new ArrayList<>();
        List<Double> eight = new ArrayList<>();
        EngineOptions engineOptions = EngineOptions.builder(files.model(model))
                .adapters(adapters)
                .contextSize(CELLS)
                .parallelSequences(TASKS)
                .threads(options.threads())
                .build();
        try (InferenceEngine engine =
                EngineCompetitor.requiredProvider("native").open(engineOptions)) {
            // a warm-up round, which is discarded
            for (int round = 0; round <= options.rounds(); round++) {
                double oneMillis = millis(engine, 1);
                double eightMillis = millis(engine, TASKS);
                if (round > 0) {
                    one.add(oneMillis);
                    eight.add(eightMillis);
                }
            }
        }
        double oneMedian = Percentiles.of(one).median();
        double eightMedian = Percentiles.of(eight).median();
        return new Cost(model.title(), title, oneMedian, eightMedian, eightMedian / oneMedian);
    }

    /** On a new document. */
    private double millis(InferenceEngine engine, int tasks) throws Exception {
        String prompt =
                RandomVocabulary.prompt(DOCUMENT_TOKENS, seed++) + RandomVocabulary.text(RandomModels.INVOCATION);
        long start = System.nanoTime();
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        for (int task = 0; task < tasks; task++) {
            answers.add(engine.submit(CompletionRequest.of(prompt, AdapterStack.of(RandomModels.adapterName(task)))
                    .withMaxTokens(TOKENS)));
        }
        for (CompletableFuture<CompletionResult> answer : answers) {
            answer.get();
        }
        return (System.nanoTime() - start) / (double) TimeUnit.MILLISECONDS.toNanos(1);
    }

    private static BarChart chart(List<Cost> results) {
        BarChart chart = new BarChart("Tasks on one document of 512 tokens");
        for (Cost result : results) {
            chart.group("%s, %s adapters, ms".formatted(result.model(), result.adapters()));
            chart.bar("one task", result.oneTask(), false);
            chart.bar("eight tasks", result.eightTasks(), true);
        }
        return chart;
    }
}
