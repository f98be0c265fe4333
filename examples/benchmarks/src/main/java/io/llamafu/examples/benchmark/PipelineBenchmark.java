package io.llamafu.examples.benchmark;

import io.llamafu.examples.benchmark.Competitor.Times;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;

/** The overhead of Flink: records per second of a whole job, compared with the same requests to the engine alone. */
@Command(
        name = "pipeline",
        description = {
            "A whole Flink job (keyed routing in RocksDB, checkpoints every second, completions)"
                    + " compared with the engine alone.",
            "",
            "Both get all records at once and use the same engine, in turn: 16 sequences, 8 adapters."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class PipelineBenchmark implements Callable<Integer> {
    private static final int PROMPT_TOKENS = 64;
    private static final int TOKENS = 32;
    private static final int RECORDS = 320;
    private static final int QUICK_RECORDS = 48;
    private static final double NANOS_PER_SECOND = 1e9;

    @Mixin
    private BenchmarkOptions options;

    @Option(
            names = "--parallelism",
            paramLabel = "N",
            defaultValue = "2",
            description = "Subtasks of the job. Default: ${DEFAULT-VALUE}.")
    private int parallelism;

    private long seed = 1;

    @Override
    public Integer call() throws Exception {
        List<PipelineResult> results = PipelineJob.measure(options, parallelism, TOKENS, this::measure);
        System.out.print(PipelineResult.markdown(results));
        options.output().write(results, "pipeline", chart(results));
        return 0;
    }

    private PipelineResult measure(RandomModel model, PipelineJob job) throws Exception {
        System.err.printf("%n%s%n", model);
        try (Competitor engine = EngineCompetitor.shared(job.options().toEngineOptions())) {
            warmUp(engine, job);
            List<Double> engineSpeeds = new ArrayList<>();
            List<Double> jobSpeeds = new ArrayList<>();
            List<Double> jobCheckpoints = new ArrayList<>();
            for (int round = 1; round <= options.rounds(); round++) {
                PipelineWorkload workload = nextWorkload();
                engineSpeeds.add(workload.records() / seconds(engine.answer(workload.queries())));
                PipelineJob.Run run = job.run(nextWorkload());
                jobSpeeds.add(workload.records() / run.seconds());
                jobCheckpoints.add((double) run.checkpoints());
                System.err.printf(
                        Locale.ROOT,
                        "round %2d of %2d  engine alone %7.3f records/s, job %7.3f records/s, %d checkpoints%n",
                        round,
                        options.rounds(),
                        engineSpeeds.get(round - 1),
                        jobSpeeds.get(round - 1),
                        run.checkpoints());
            }
            return result(model, median(engineSpeeds), median(jobSpeeds), median(jobCheckpoints));
        }
    }

    private void warmUp(Competitor engine, PipelineJob job) throws Exception {
        System.err.println("warm-up");
        engine.answer(nextWorkload().queries());
        job.run(nextWorkload());
    }

    private PipelineWorkload nextWorkload() {
        return new PipelineWorkload(options.isQuick() ? QUICK_RECORDS : RECORDS, PROMPT_TOKENS, TOKENS, seed++);
    }

    /** From the first request to the last answer. */
    private static double seconds(List<Times> times) {
        long first = times.stream().mapToLong(Times::sent).min().orElseThrow();
        long last = times.stream().mapToLong(Times::end).max().orElseThrow();
        return (last - first) / NANOS_PER_SECOND;
    }

    private static double median(List<Double> values) {
        return Contest.median(values.stream().mapToDouble(Double::doubleValue).toArray());
    }

    private PipelineResult result(RandomModel model, double engineSpeed, double jobSpeed, double checkpoints) {
        return new PipelineResult(
                model.title(),
                PipelineJob.SEQUENCES,
                parallelism,
                options.isQuick() ? QUICK_RECORDS : RECORDS,
                PROMPT_TOKENS,
                TOKENS,
                engineSpeed,
                jobSpeed,
                jobSpeed / engineSpeed,
                checkpoints);
    }

    private BarChart chart(List<PipelineResult> results) {
        BarChart chart =
                new BarChart("A whole Flink job and the engine alone, %d CPU threads".formatted(options.threads()));
        for (PipelineResult result : results) {
            chart.group(result.model() + ", records/s")
                    .bar("the engine alone", result.engineRecordsPerSecond(), false)
                    .bar("the Flink job", result.jobRecordsPerSecond(), true);
        }
        return chart;
    }
}
