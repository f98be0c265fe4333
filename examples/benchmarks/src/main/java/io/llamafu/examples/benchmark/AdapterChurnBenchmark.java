package io.llamafu.examples.benchmark;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;

/** Speed with many more adapters than memory. */
@Command(
        name = "adapter-churn",
        description = {
            "256 adapters of rank 8, requested with a Zipf distribution of exponent 1, with memory"
                    + " for 32 of them: tokens/s, compared with the same requests with all adapters in memory.",
            "",
            "32 requests are open at a time, for 16 sequences; prompts and answers have 32 tokens."
                    + " The files take 1.3 GB."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class AdapterChurnBenchmark implements Callable<Integer> {
    private static final int RANK = 8;
    private static final int ADAPTERS = 256;
    private static final int QUICK_ADAPTERS = 64;
    private static final int ADAPTERS_PER_BUDGET = 8;
    private static final double EXPONENT = 1;
    private static final int SEQUENCES = 16;
    private static final int OPEN_REQUESTS = 2 * SEQUENCES;
    private static final int REQUESTS = 1500;
    private static final int QUICK_REQUESTS = 300;
    private static final int PROMPT_TOKENS = 32;
    private static final int TOKENS = 32;
    private static final Duration TIMEOUT = Duration.ofMinutes(30);
    private static final double NANOS_PER_SECOND = 1e9;

    @Mixin
    private BenchmarkOptions options;

    @Option(names = "--requests", paramLabel = "N", description = "Requests per round. Default: 1500.")
    private Integer requests;

    private final RandomModels files = RandomModels.inCacheFolder();

    /** One round. */
    private record Round(double tokensPerSecond, double loadsPerRequest) {}

    /** The result. */
    private record Churn(
            String model,
            int adapters,
            int fitInMemory,
            double tokensPerSecond,
            double tokensPerSecondAllInMemory,
            double ratio,
            double loadsPerRequest) {}

    @Override
    public Integer call() throws Exception {
        BenchmarkOptions.warnIfBusy();
        RandomModel model = RandomModel.SMALL;
        int adapters = options.isQuick() ? QUICK_ADAPTERS : ADAPTERS;
        int fitting = adapters / ADAPTERS_PER_BUDGET;
        Path folder = files.adapters(model, RANK, adapters);
        Workload workload = new Workload(SEQUENCES, adapters, PROMPT_TOKENS, TOKENS);
        EngineOptions.Builder engine = NativeEngine.options(files.model(model), folder, workload, options.threads());
        long fileBytes = Files.size(folder.resolve(RandomModels.adapterName(0) + ".gguf"));
        List<Double> all = new ArrayList<>();
        List<Double> some = new ArrayList<>();
        List<Double> loads = new ArrayList<>();
        try (InferenceEngine resident =
                        EngineCompetitor.requiredProvider("native").open(engine.build());
                InferenceEngine churning = EngineCompetitor.requiredProvider("native")
                        .open(engine.adapterMemoryBudget(fitting * fileBytes).build())) {
            preload(resident, adapters);
            for (int round = 1; round <= options.rounds(); round++) {
                Round withAll = measure(resident, adapters, round);
                Round withSome = measure(churning, adapters, round);
                all.add(withAll.tokensPerSecond());
                some.add(withSome.tokensPerSecond());
                loads.add(withSome.loadsPerRequest());
                System.err.printf(
                        Locale.ROOT,
                        "round %d of %d  all in memory %.1f tokens/s, %d of %d %.1f tokens/s with %.2f loads a request%n",
                        round,
                        options.rounds(),
                        withAll.tokensPerSecond(),
                        fitting,
                        adapters,
                        withSome.tokensPerSecond(),
                        withSome.loadsPerRequest());
            }
        }
        report(new Churn(
                model.title(),
                adapters,
                fitting,
                median(some),
                median(all),
                median(some) / median(all),
                median(loads)));
        return 0;
    }

    private void report(Churn churn) throws IOException {
        System.out.printf(
                Locale.ROOT,
                "| model | adapters | fit in memory | tokens/s | with all in memory | ratio | loads a request |%n"
                        + "|---|--:|--:|--:|--:|--:|--:|%n| %s | %d | %d | %.1f | %.1f | %.3f | %.2f |%n",
                churn.model(),
                churn.adapters(),
                churn.fitInMemory(),
                churn.tokensPerSecond(),
                churn.tokensPerSecondAllInMemory(),
                churn.ratio(),
                churn.loadsPerRequest());
        BarChart chart = new BarChart("%d adapters, asked for by Zipf's law".formatted(churn.adapters()))
                .group(churn.model() + ", tokens/s")
                .bar("all in memory", churn.tokensPerSecondAllInMemory(), false)
                .bar("memory for " + churn.fitInMemory(), churn.tokensPerSecond(), true);
        options.output().write(List.of(churn), "adapter-churn", chart);
    }

    private static double median(List<Double> values) {
        return Percentiles.of(values).median();
    }

    private static void preload(InferenceEngine engine, int adapters) throws Exception {
        for (int adapter = 0; adapter < adapters; adapter++) {
            Object unused = engine.preload(AdapterStack.of(RandomModels.adapterName(adapter)))
                    .get();
        }
    }

    private Round measure(InferenceEngine engine, int adapters, long seed) throws Exception {
        int count = requests != null ? requests : options.isQuick() ? QUICK_REQUESTS : REQUESTS;
        Zipf zipf = new Zipf(adapters, EXPONENT, new SplittableRandom(seed));
        Semaphore free = new Semaphore(OPEN_REQUESTS);
        EngineMetrics before = engine.metrics();
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        long start = System.nanoTime();
        for (int i = 0; i < count; i++) {
            free.acquire();
            CompletionRequest request = CompletionRequest.of(
                            RandomVocabulary.prompt(PROMPT_TOKENS, seed * 1_000_000 + i),
                            AdapterStack.of(RandomModels.adapterName(zipf.next())))
                    .withMaxTokens(TOKENS)
                    .withTimeout(TIMEOUT);
            answers.add(engine.submit(request).whenComplete((answer, failure) -> free.release()));
        }
        for (CompletableFuture<CompletionResult> answer : answers) {
            int tokens = answer.get().generatedTokens();
            if (tokens != TOKENS) {
                throw new IllegalStateException("An answer has %d tokens instead of %d.".formatted(tokens, TOKENS));
            }
        }
        double seconds = (System.nanoTime() - start) / NANOS_PER_SECOND;
        return new Round(
                count * (double) TOKENS / seconds,
                (engine.metrics().adapters().loads() - before.adapters().loads()) / (double) count);
    }
}
