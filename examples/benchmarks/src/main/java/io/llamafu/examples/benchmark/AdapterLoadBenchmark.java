package io.llamafu.examples.benchmark;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/** The cost of loading a large adapter, and its effect on sequences that are decoded meanwhile. */
@Command(
        name = "adapter-load",
        description = {
            "Loads adapters of 97 MB: milliseconds, compared with reading and checksumming the file,"
                    + " and the time of a decode step of 16 sequences with and without such loads.",
            "",
            "Every load is of a newly published file, whose checksum is not known. The files are in the page cache."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class AdapterLoadBenchmark implements Callable<Integer> {
    /** 97 MB on all projections of the 135M model. */
    private static final int RANK = 160;

    private static final int FILES = 2;
    private static final int LOADS = 15;
    private static final int QUICK_LOADS = 5;
    private static final int SEQUENCES = 16;
    private static final int PROMPT_TOKENS = 32;
    private static final int TOKENS = 384;
    private static final int QUICK_TOKENS = 96;
    private static final int FIRST_STEPS = 8;
    private static final int BUFFER_BYTES = 256 * 1024;
    private static final double NANOS_PER_MILLI = 1e6;
    /** The resolution at which the end of a step is observed. */
    private static final long POLL_NANOS = TimeUnit.MICROSECONDS.toNanos(500);

    @Mixin
    private BenchmarkOptions options;

    private final RandomModels files = RandomModels.inCacheFolder();
    private Path adapters;
    private int publications;

    /** Medians in milliseconds. */
    private record Load(double megabytes, double checksumMillis, double loadMillis, double ratio) {}

    /**
     * The effect on decode steps. The ratios are medians of the rounds, because other load on the machine disturbs some
     * of them.
     */
    private record Steady(
            Percentiles stepMillis,
            Percentiles stepMillisWhileLoading,
            int loads,
            double p99Ratio,
            double maxOverMedian) {}

    /** With loads compared with without, for one round. */
    private record Round(double p99Ratio, double maxOverMedian) {
        private Round(Percentiles without, Percentiles with) {
            this(with.p99() / without.p99(), with.max() / without.median());
        }
    }

    /** Milliseconds of decode steps. */
    private record Steps(Percentiles millis, int loads) {}

    @Override
    public Integer call() throws Exception {
        BenchmarkOptions.warnIfBusy();
        RandomModel model = RandomModel.SMALL;
        int tokens = options.isQuick() ? QUICK_TOKENS : TOKENS;
        Workload workload = new Workload(SEQUENCES, 0, PROMPT_TOKENS, tokens);
        adapters = files.adapters(model, RANK, FILES);
        try (InferenceEngine engine = EngineCompetitor.requiredProvider("native")
                .open(NativeEngine.options(files.model(model), adapters, workload, options.threads())
                        .adapterRefreshInterval(Duration.ZERO)
                        .build())) {
            Load load = measureLoads(engine);
            Steady steady = measureSteps(engine, tokens);
            options.output().write(List.of(load, steady), "adapter-load", chart(load, steady));
        }
        return 0;
    }

    private Load measureLoads(InferenceEngine engine) throws Exception {
        List<Double> checksums = new ArrayList<>();
        List<Double> loads = new ArrayList<>();
        int count = options.isQuick() ? QUICK_LOADS : LOADS;
        for (int i = -FILES; i < count; i++) {
            String name = RandomModels.adapterName(Math.floorMod(i, FILES));
            double checksum = millis(() -> checksum(adapters.resolve(name + ".gguf")));
            publishAnew(name);
            double load = millis(() -> engine.preload(AdapterStack.of(name)).get());
            engine.clear();
            // each file once to fill the page cache
            if (i >= 0) {
                checksums.add(checksum);
                loads.add(load);
            }
        }
        double megabytes = Files.size(adapters.resolve(RandomModels.adapterName(0) + ".gguf")) / 1e6;
        double checksum = Percentiles.of(checksums).median();
        double load = Percentiles.of(loads).median();
        System.out.printf(
                Locale.ROOT,
                "| adapter | read and checksum, ms | load, ms | ratio |%n|--:|--:|--:|--:|%n| %.0f MB | %.1f | %.1f | %.2f |%n%n",
                megabytes,
                checksum,
                load,
                load / checksum);
        return new Load(megabytes, checksum, load, load / checksum);
    }

    private static BarChart chart(Load load, Steady steady) {
        return new BarChart("Loading adapters of %.0f MB".formatted(load.megabytes()))
                .group("ms a file")
                .bar("read and checksum", load.checksumMillis(), false)
                .bar("load", load.loadMillis(), true)
                .group("ms of a decode step, p99")
                .bar("without loads", steady.stepMillis().p99(), false)
                .bar("while loading", steady.stepMillisWhileLoading().p99(), true);
    }

    /** Makes a file look like a new version: unchanged for a while, with another time. */
    private void publishAnew(String name) throws IOException {
        Instant time = Instant.now().minus(Duration.ofHours(1)).plusMillis(publications++);
        Files.setLastModifiedTime(adapters.resolve(name + ".gguf"), FileTime.from(time));
    }

    private static byte[] checksum(Path file) throws Exception {
        MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
        byte[] buffer = new byte[BUFFER_BYTES];
        try (InputStream in = Files.newInputStream(file)) {
            for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
                sha256.update(buffer, 0, read);
            }
        }
        return sha256.digest();
    }

    private static double millis(Callable<?> action) throws Exception {
        long start = System.nanoTime();
        action.call();
        return (System.nanoTime() - start) / NANOS_PER_MILLI;
    }

    private Steady measureSteps(InferenceEngine engine, int tokens) throws Exception {
        List<Double> alone = new ArrayList<>();
        List<Double> loading = new ArrayList<>();
        List<Round> rounds = new ArrayList<>();
        int loads = 0;
        steps(engine, QUICK_TOKENS, 0, false, new ArrayList<>());
        for (int number = 1; number <= options.rounds(); number++) {
            Steps without = steps(engine, tokens, number, false, alone);
            Steps with = steps(engine, tokens, number, true, loading);
            Round round = new Round(without.millis(), with.millis());
            rounds.add(round);
            loads += with.loads();
            System.err.printf(
                    Locale.ROOT,
                    "round %d of %d  %d loads; p99 with / without: %.2f; max with / median without: %.2f%n",
                    number,
                    options.rounds(),
                    with.loads(),
                    round.p99Ratio(),
                    round.maxOverMedian());
        }
        Steady steady = new Steady(
                Percentiles.of(alone),
                Percentiles.of(loading),
                loads,
                Percentiles.of(rounds.stream().map(Round::p99Ratio).toList()).median(),
                Percentiles.of(rounds.stream().map(Round::maxOverMedian).toList())
                        .median());
        System.out.printf(
                Locale.ROOT,
                "| decode step of %d sequences, ms | median | p99 | max |%n|---|--:|--:|--:|%n",
                SEQUENCES);
        System.out.printf("| without loads %s%n", steady.stepMillis().markdown());
        System.out.printf(
                "| during %d loads %s%n", loads, steady.stepMillisWhileLoading().markdown());
        System.out.printf(
                Locale.ROOT,
                "%nMedians of %d rounds: p99 with / without %.2f; max with / median without %.2f%n",
                options.rounds(),
                steady.p99Ratio(),
                steady.maxOverMedian());
        return steady;
    }

    private Steps steps(InferenceEngine engine, int tokens, int seed, boolean withLoads, List<Double> all)
            throws Exception {
        AtomicBoolean running = new AtomicBoolean(true);
        CompletableFuture<Integer> loads = withLoads
                ? CompletableFuture.supplyAsync(() -> keepLoading(engine, running))
                : CompletableFuture.completedFuture(0);
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        for (int i = 0; i < SEQUENCES; i++) {
            String prompt = RandomVocabulary.prompt(PROMPT_TOKENS, 1000L * seed + i);
            answers.add(engine.submit(
                    CompletionRequest.of(prompt, AdapterStack.base()).withMaxTokens(tokens)));
        }
        List<Double> millis = watch(engine, answers);
        running.set(false);
        all.addAll(millis);
        return new Steps(Percentiles.of(millis), loads.get());
    }

    /** From the first steps, which prefill, until the first answer is complete. */
    private static List<Double> watch(InferenceEngine engine, List<CompletableFuture<CompletionResult>> answers) {
        List<Double> millis = new ArrayList<>();
        long start = engine.metrics().decoding().steps();
        long seen = start;
        long last = System.nanoTime();
        while (answers.stream().noneMatch(CompletableFuture::isDone)) {
            LockSupport.parkNanos(POLL_NANOS);
            long steps = engine.metrics().decoding().steps();
            if (steps != seen) {
                long now = System.nanoTime();
                if (seen - start >= FIRST_STEPS) {
                    millis.add((now - last) / NANOS_PER_MILLI / (steps - seen));
                }
                last = now;
                seen = steps;
            }
        }
        answers.forEach(CompletableFuture::join);
        return millis;
    }

    private int keepLoading(InferenceEngine engine, AtomicBoolean running) {
        int loads = 0;
        try {
            while (running.get()) {
                String name = RandomModels.adapterName(loads % FILES);
                publishAnew(name);
                engine.preload(AdapterStack.of(name)).join();
                engine.unload(name);
                loads++;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return loads;
    }
}
