package io.llamafu.examples.benchmark;

import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.client.JobCancellationException;
import org.apache.flink.util.ExceptionUtils;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** The time to cancel a job while the model is busy with its records. */
@Command(
        name = "cancel",
        description = {
            "Cancels a Flink job ten times in each round, while all 16 sequences are busy and records"
                    + " wait: the time until Flink reports CANCELED, and until the sequences are free.",
            "",
            "Prompts of 128 tokens, answers of 64, 8 adapters; keyed routing in RocksDB, checkpoints every second."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class CancelBenchmark implements Callable<Integer> {
    private static final int CANCELLATIONS = 10;
    private static final int PROMPT_TOKENS = 128;
    private static final int TOKENS = 64;
    private static final int PARALLELISM = 2;
    /** More than can be answered before the job is cancelled. */
    private static final int RECORDS = 1_000_000;

    private static final Duration BUSY_TIMEOUT = Duration.ofMinutes(2);
    private static final Duration FREE_TIMEOUT = Duration.ofMinutes(1);
    private static final double NANOS_PER_MILLI = 1e6;

    @Mixin
    private BenchmarkOptions options;

    private long seed = 1;

    /**
     * Milliseconds from the request to cancel.
     *
     * @param cancelled until Flink reports it
     * @param free until no sequence is decoded any more
     */
    private record Times(double cancelled, double free) {}

    /** Milliseconds over all cancellations. */
    record Result(
            String model,
            int cancellations,
            double medianMillis,
            double maxMillis,
            double medianFreeMillis,
            double maxFreeMillis) {}

    @Override
    public Integer call() throws Exception {
        List<Result> results = PipelineJob.measure(options, PARALLELISM, TOKENS, this::measure);
        print(results);
        options.output().write(results, "cancel", chart(results));
        return 0;
    }

    private Result measure(RandomModel model, PipelineJob job) throws Exception {
        List<Times> times = new ArrayList<>();
        try (SharedEngines.Lease lease = SharedEngines.acquire(job.options().toEngineOptions())) {
            for (int number = 1; number <= CANCELLATIONS * options.rounds(); number++) {
                PipelineWorkload workload = new PipelineWorkload(RECORDS, PROMPT_TOKENS, TOKENS, seed++);
                Times one = cancelBusy(job.start(workload), lease.engine());
                times.add(one);
                System.err.printf(
                        Locale.ROOT,
                        "%s, %d: cancelled after %.0f ms, sequences free after %.0f ms%n",
                        model.title(),
                        number,
                        one.cancelled(),
                        one.free());
            }
        }
        Percentiles cancelled =
                Percentiles.of(times.stream().map(Times::cancelled).toList());
        Percentiles free = Percentiles.of(times.stream().map(Times::free).toList());
        return new Result(model.title(), times.size(), cancelled.median(), cancelled.max(), free.median(), free.max());
    }

    private static Times cancelBusy(JobClient job, InferenceEngine engine) throws Exception {
        await("all sequences are busy and records wait", BUSY_TIMEOUT, () -> {
            EngineMetrics metrics = engine.metrics();
            return metrics.sequences().active() == metrics.sequences().most()
                    && metrics.requests().waiting() > 0;
        });
        long start = System.nanoTime();
        job.cancel().get();
        awaitCancelled(job);
        double cancelled = (System.nanoTime() - start) / NANOS_PER_MILLI;
        await(
                "no sequence is decoded",
                FREE_TIMEOUT,
                () -> engine.metrics().sequences().active() == 0);
        return new Times(cancelled, (System.nanoTime() - start) / NANOS_PER_MILLI);
    }

    private static void await(String what, Duration timeout, BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + timeout.toNanos();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("Not within %s: %s.".formatted(timeout, what));
            }
            TimeUnit.MILLISECONDS.sleep(1);
        }
    }

    private static void awaitCancelled(JobClient job) throws Exception {
        try {
            job.getJobExecutionResult().get();
            throw new IllegalStateException("The job has ended by itself.");
        } catch (ExecutionException end) {
            if (ExceptionUtils.findThrowable(end, JobCancellationException.class)
                    .isEmpty()) {
                throw end;
            }
        }
    }

    private static void print(List<Result> results) {
        System.out.print(
                """
                | model | cancellations | median, ms | max, ms | sequences free: median, ms | max, ms |
                |---|--:|--:|--:|--:|--:|
                """);
        for (Result result : results) {
            System.out.printf(
                    Locale.ROOT,
                    "| %s | %d | %.0f | %.0f | %.0f | %.0f |%n",
                    result.model(),
                    result.cancellations(),
                    result.medianMillis(),
                    result.maxMillis(),
                    result.medianFreeMillis(),
                    result.maxFreeMillis());
        }
    }

    private static BarChart chart(List<Result> results) {
        BarChart chart = new BarChart("Cancellation while the model is busy");
        for (Result result : results) {
            chart.group(result.model() + ", milliseconds")
                    .bar("median", result.medianMillis(), true)
                    .bar("max", result.maxMillis(), true);
        }
        return chart;
    }
}
