package io.llamafu.flink.label;

import com.cronutils.model.Cron;
import com.cronutils.model.CronType;
import com.cronutils.model.definition.CronDefinitionBuilder;
import com.cronutils.model.time.ExecutionTime;
import com.cronutils.parser.CronParser;
import io.llamafu.LlamafuException;

import java.time.Duration;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.Optional;

/**
 * Runs the job at the times of a cron expression, in the time zone of the process. A run that takes longer than until the next
 * time skips it.
 */
final class Schedule {
    private static final int FIELDS_WITH_SECONDS = 6;

    private final String written;
    private final ExecutionTime times;
    private final Optional<Integer> runs;
    private final Progress progress;

    /** A run; returns its exit code. */
    @FunctionalInterface
    interface Run {
        int run() throws InterruptedException;
    }

    /** @throws LlamafuException with INVALID_OPTION */
    Schedule(LabelArguments arguments, Progress progress) {
        this.written = arguments.require(LabelOption.SCHEDULE);
        this.times = ExecutionTime.forCron(parse(written));
        this.runs = arguments.count(LabelOption.RUNS);
        this.progress = progress;
    }

    private static Cron parse(String written) {
        CronType type = written.strip().split("\\s+").length == FIELDS_WITH_SECONDS ? CronType.SPRING53 : CronType.UNIX;
        try {
            return new CronParser(CronDefinitionBuilder.instanceDefinitionFor(type))
                    .parse(written.strip())
                    .validate();
        } catch (IllegalArgumentException e) {
            throw LabelArguments.invalid(
                    "--schedule is '%s', but must be a cron expression of five fields, or of six with seconds, such as '30 2 * * *': %s"
                            .formatted(written, e.getMessage()));
        }
    }

    /** Returns the exit code of the last run, once there have been as many as wanted. */
    int run(Run run) throws InterruptedException {
        int code = LabelJob.ANSWERED;
        ZonedDateTime after = now();
        for (int done = 0; runs.isEmpty() || done < runs.get(); done++) {
            ZonedDateTime next = next(after);
            sleepUntil(next);
            progress.say("Scheduled run of " + next);
            try {
                code = run.run();
            } catch (LlamafuException e) {
                progress.say("The run failed: " + e);
                code = LabelJob.FAILED;
            }
            after = now();
            if (next(next).isBefore(after)) {
                progress.say("Times that passed while the run worked are skipped.");
            }
        }
        return code;
    }

    private ZonedDateTime next(ZonedDateTime after) {
        return times.nextExecution(after)
                .orElseThrow(() -> LabelArguments.invalid(
                        "--schedule is '%s', which is never again; correct it.".formatted(written)));
    }

    private static ZonedDateTime now() {
        return ZonedDateTime.now(ZoneId.systemDefault());
    }

    private static void sleepUntil(ZonedDateTime time) throws InterruptedException {
        for (Duration left = Duration.between(now(), time);
                left.compareTo(Duration.ZERO) > 0;
                left = Duration.between(now(), time)) {
            Thread.sleep(Math.max(1, left.toMillis()));
        }
    }
}
