package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.HeartbeatManagerOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.LocalStreamEnvironment;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** One run of the job after another, on the machine that submits it. */
final class LabelRun {
    private static final int PART_ROWS = 10_000;
    private static final Duration POLL = Duration.ofMillis(500);

    private final LabelArguments arguments;
    private final Progress progress;
    private final LabelStore store;
    private final LabelFormat format;

    /** @throws LlamafuException with INVALID_OPTION */
    LabelRun(LabelArguments arguments, Progress progress) {
        this.arguments = arguments;
        this.progress = progress;
        this.store = new LabelStore(output(arguments));
        arguments.require(LabelOption.INPUT);
        this.format = arguments
                .get(LabelOption.FORMAT)
                .map(LabelFormat::parse)
                .orElseGet(() -> InputPlan.format(inputs(), store));
        // Wrong options end the job before it reads the input.
        LabelSettings unused = settings();
    }

    static String output(LabelArguments arguments) {
        return InputPlan.path(LabelOption.OUTPUT, arguments.require(LabelOption.OUTPUT))
                .toUri()
                .toString();
    }

    /** Anew for each run of a schedule, because the files that options name may have changed. */
    private LabelSettings settings() {
        return LabelSettings.of(arguments, format);
    }

    /** The run that goes on until it is complete, however often it is killed. */
    private record RunFile(String id, String started) {}

    private record Layout(int partRows) {}

    /** Returns the exit code. */
    int run(PrintStream out) throws InterruptedException {
        Optional<RunLock> lock = RunLock.acquire(store);
        if (lock.isEmpty()) {
            progress.say("Another run works on '%s'.".formatted(store.root()));
            return LabelJob.BUSY;
        }
        try {
            return runLocked(out);
        } finally {
            lock.get().close();
        }
    }

    private int runLocked(PrintStream out) throws InterruptedException {
        Instant begin = Instant.now();
        store.deleteFolder(store.hidden("tmp"));
        LabelSettings settings = settings();
        int partRows = layout(true);
        RunFile run = read("run.json", RunFile.class)
                .orElseGet(() -> new RunFile(UUID.randomUUID().toString(), begin.toString()));
        store.write(store.hidden("run.json"), stream -> stream.write(Json.write(run)));

        Map<String, PartLedger.Header> ledger = headers();
        InputPlan.Found files = InputPlan.files(inputs(), format, store);
        InputPlan plan = InputPlan.read(files, settings, partRows, ledger);
        List<String> failures = new ArrayList<>();
        plan.unreadable().forEach(failure -> failures.add(failure.getMessage()));
        if (!plan.parts().isEmpty()) {
            failures.addAll(execute(plan, settings, run.id()));
        }
        if (failures.isEmpty()) {
            deleteSurplus(plan, ledger);
        }
        Report report =
                Report.of(store, headers(), run.id(), Duration.between(begin, Instant.now()), failures, settings);
        report.write(store);
        if (arguments.has(LabelOption.REVIEW)) {
            new Review(store).write(arguments.count(LabelOption.REVIEW).orElseThrow(), plan, settings);
        }
        store.delete(store.hidden("run.json"));
        failures.forEach(progress::say);
        out.println(report.summary());
        return failures.isEmpty() && report.errors() == 0 ? LabelJob.ANSWERED : LabelJob.FAILED;
    }

    private List<String> inputs() {
        return arguments.values().get(LabelOption.INPUT);
    }

    /** The rows of a part never change for an output, or every row would be in another part. */
    private int layout(boolean keep) {
        Optional<Integer> wanted = arguments.count(LabelOption.PART_ROWS);
        Optional<Layout> kept = read("layout.json", Layout.class);
        if (kept.isPresent()) {
            int rows = kept.get().partRows();
            if (wanted.isPresent() && wanted.get() != rows) {
                throw LabelArguments.invalid(
                        "--part-rows is %d, but '%s' has files of %d rows: leave it out, or choose another output."
                                .formatted(wanted.get(), store.root(), rows));
            }
            return rows;
        }
        Layout layout = new Layout(wanted.orElse(PART_ROWS));
        if (keep) {
            store.write(store.hidden("layout.json"), stream -> stream.write(Json.write(layout)));
        }
        return layout.partRows();
    }

    private <T> Optional<T> read(String name, Class<T> type) {
        return LabelStore.json(store.hidden(name), store, type);
    }

    private Map<String, PartLedger.Header> headers() {
        Map<String, PartLedger.Header> headers = new TreeMap<>();
        store.parts().forEach(part -> PartLedger.header(store, part).ifPresent(header -> headers.put(part, header)));
        return headers;
    }

    private List<String> execute(InputPlan plan, LabelSettings settings, String run) throws InterruptedException {
        Configuration configuration = new Configuration();
        configuration.set(ExecutionOptions.RUNTIME_MODE, RuntimeExecutionMode.BATCH);
        // For a cluster within this process: accumulators arrive with heartbeats.
        configuration.set(HeartbeatManagerOptions.HEARTBEAT_INTERVAL, Duration.ofSeconds(1));
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        Optional<Integer> parallelism = arguments.count(LabelOption.PARALLELISM);
        if (parallelism.isPresent() || env instanceof LocalStreamEnvironment) {
            env.setParallelism(parallelism.orElse(1));
        }
        env.fromSource(
                        new PartSource(plan.parts()),
                        WatermarkStrategy.noWatermarks(),
                        "Parts",
                        PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)
                .transform("Label", Types.STRING, new LabelOperator.Factory(settings, store, run))
                .sinkTo(new DiscardingSink<>());
        long rows = plan.parts().stream().mapToLong(Part::rows).sum();
        progress.begin();
        try {
            JobClient job = env.executeAsync("Label " + store.root());
            Map<String, Object> result = await(job, rows).getAllAccumulatorResults();
            progress.end(figures(result, rows));
            return failures(result);
        } catch (InterruptedException e) {
            throw e;
        } catch (Exception e) {
            throw failed(e);
        }
    }

    /** A cluster within this process is shut down with the job, and then answers only through the future of the result. */
    private JobExecutionResult await(JobClient job, long rows) throws InterruptedException, ExecutionException {
        CompletableFuture<JobExecutionResult> result = job.getJobExecutionResult();
        while (true) {
            try {
                return result.get(POLL.toMillis(), TimeUnit.MILLISECONDS);
            } catch (TimeoutException e) {
                showProgress(job, rows);
            }
        }
    }

    private void showProgress(JobClient job, long rows) throws InterruptedException {
        try {
            progress.show(figures(job.getAccumulators().get(), rows));
        } catch (ExecutionException | IllegalStateException e) {
            // The job has just ended.
        }
    }

    private static Progress.Figures figures(Map<String, Object> accumulators, long rows) {
        return new Progress.Figures(
                count(accumulators, LabelOperator.ROWS),
                rows,
                count(accumulators, LabelOperator.ASKED),
                count(accumulators, LabelOperator.TOKENS),
                count(accumulators, LabelOperator.ERRORS));
    }

    private static long count(Map<String, Object> accumulators, String name) {
        return accumulators.get(name) instanceof Long count ? count : 0;
    }

    private static List<String> failures(Map<String, Object> accumulators) {
        return accumulators.get(LabelOperator.FAILURES) instanceof List<?> failures
                ? failures.stream().map(String::valueOf).toList()
                : List.of();
    }

    /** The exception of ours behind those of Flink, which may have come from another process as a text. */
    private static LlamafuException failed(Exception failure) {
        Throwable cause = failure;
        while (!(cause instanceof LlamafuException) && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause instanceof LlamafuException coded
                ? coded
                : new LlamafuException(
                        ErrorCode.ENGINE_FAILED,
                        "The job failed: %s. What was answered is kept; run again to go on.".formatted(cause),
                        failure);
    }

    /** Parts of files that have become shorter. Those of files that are gone stay: their rows are still right. */
    private void deleteSurplus(InputPlan plan, Map<String, PartLedger.Header> ledger) {
        Map<String, Integer> counts = new TreeMap<>();
        plan.files().forEach(file -> counts.put(file.uri(), 0));
        plan.parts().forEach(part -> counts.merge(part.file().uri(), 1, Integer::sum));
        ledger.forEach((name, header) -> {
            Integer count = counts.get(header.input());
            int index = Integer.parseInt(name.substring(name.lastIndexOf('-') + 1));
            if (count != null && index >= count) {
                store.delete(store.rows(name, format));
                store.delete(store.ledger(name));
            }
        });
        store.deleteFolder(store.hidden("journal"));
    }

    /** Does what a run would do, except asking, and says what that leaves. */
    int explain(PrintStream out) {
        LabelSettings settings = settings();
        InputPlan.Found files = InputPlan.files(inputs(), format, store);
        Map<String, PartLedger.Header> ledger = headers();
        InputPlan plan = InputPlan.read(files, settings, layout(false), ledger);
        try (Identity identity = new Identity(settings.options(), Path.of(System.getProperty("java.io.tmpdir")))) {
            out.println(Explanation.of(plan, settings, identity, store, ledger));
        }
        plan.unreadable().forEach(failure -> progress.say(failure.getMessage()));
        return plan.unreadable().isEmpty() ? LabelJob.ANSWERED : LabelJob.FAILED;
    }
}
