package io.llamafu.examples.soak;

import io.llamafu.examples.JsonLines;
import io.llamafu.examples.cluster.CommittedRecords;
import org.apache.kafka.clients.consumer.ConsumerRecord;

import java.io.IOException;
import java.time.Duration;
import java.util.List;

/** Follows a submitted job from its first record to its last outcome. For one thread. */
final class SoakRun {
    private static final Duration POLL = Duration.ofMillis(100);
    private static final Duration LOOK_INTERVAL = Duration.ofSeconds(1);
    private static final Duration PROGRESS_INTERVAL = Duration.ofSeconds(10);
    private static final Duration READ_TIMEOUT = Duration.ofMinutes(1);
    /** The least time from a kill to the last record, in which the job recovers. */
    private static final Duration LAST_KILL = Duration.ofSeconds(30);
    /** After this many unexpected ends there is nothing left to learn. */
    private static final int MOST_ENDED = 10;

    private static final JsonLines<Outcome> OUTCOMES = JsonLines.of(Outcome.class);
    private static final JsonLines<RejectedChange> REJECTED = JsonLines.of(RejectedChange.class);

    private final Schedule schedule;
    private final Feed feed;
    private final CommittedRecords outputs;
    private final Ledger ledger;
    private final AdapterFolder adapters;
    private final ClusterWatch watch;
    private final Findings findings;

    SoakRun(
            Schedule schedule,
            Feed feed,
            CommittedRecords outputs,
            Ledger ledger,
            AdapterFolder adapters,
            ClusterWatch watch,
            Findings findings) {
        this.schedule = schedule;
        this.feed = feed;
        this.outputs = outputs;
        this.ledger = ledger;
        this.adapters = adapters;
        this.watch = watch;
        this.findings = findings;
    }

    /**
     * Feeds, publishes and kills until all records are sent, then waits for all outcomes.
     *
     * @param patience the most time from the last record to the end of the job
     */
    void follow(Duration duration, Duration killEvery, Duration publishEvery, Duration patience) throws Exception {
        long start = System.nanoTime();
        long nextLook = 0;
        long nextProgress = 0;
        long nextPublication = publishEvery.toNanos();
        long nextKill = killEvery.toNanos();
        while (true) {
            feed.sendUntil(System.currentTimeMillis());
            if (feed.isAtEnd()) {
                watch.ending();
            }
            read();
            long time = System.nanoTime() - start;
            if (time >= nextLook) {
                nextLook = time + LOOK_INTERVAL.toNanos();
                watch.look();
                if (watch.state().equals("FINISHED")) {
                    break;
                }
            }
            if (time >= nextPublication) {
                nextPublication += publishEvery.toNanos();
                adapters.publishNext();
            }
            if (time >= nextKill && watch.isWhole() && !feed.isAtEnd()) {
                nextKill += killEvery.toNanos();
                if (time <= duration.minus(LAST_KILL).toNanos()) {
                    System.err.println("kill -9 of " + watch.kill());
                }
            }
            if (time >= nextProgress) {
                nextProgress = time + PROGRESS_INTERVAL.toNanos();
                System.err.println(progress(Duration.ofNanos(time), duration));
            }
            if (hasFailed(Duration.ofNanos(time), duration.plus(patience))) {
                break;
            }
        }
        readToTheEnd();
        System.err.println(progress(Duration.ofNanos(System.nanoTime() - start), duration));
    }

    private boolean hasFailed(Duration time, Duration most) {
        if (List.of("FAILED", "CANCELED").contains(watch.state())) {
            findings.broken(Promise.ONE_JOB, "The job is %s for good.".formatted(watch.state()));
            return true;
        }
        if (watch.ended() > MOST_ENDED) {
            findings.broken(Promise.ONE_JOB, "The soak was given up: too many TaskManagers have ended.");
            return true;
        }
        if (time.compareTo(most) > 0) {
            findings.broken(
                    Promise.ONE_JOB,
                    "The job has not ended after %s: it is %s, with %d of %d outcomes."
                            .formatted(time, watch.state(), ledger.outcomes(), schedule.records()));
            return true;
        }
        return false;
    }

    private void read() throws IOException {
        for (ConsumerRecord<byte[], byte[]> line : outputs.poll(POLL)) {
            switch (line.topic()) {
                case SoakTopics.ANSWERS -> ledger.answer(OUTCOMES.read(line.value()));
                case SoakTopics.DEAD_LETTERS -> ledger.deadLetter(OUTCOMES.read(line.value()));
                case SoakTopics.REJECTED_ROUTES -> ledger.rejected(REJECTED.read(line.value()));
                default -> throw new IllegalStateException("A line of topic " + line.topic());
            }
        }
    }

    private void readToTheEnd() throws IOException {
        long deadline = System.nanoTime() + READ_TIMEOUT.toNanos();
        do {
            read();
        } while (!outputs.isAtEnd() && System.nanoTime() < deadline);
    }

    private String progress(Duration time, Duration duration) {
        return "%d:%02d of %d:%02d, job %s: %d sent, %d answers, %d dead letters; %d kills, %d restarts, %d checkpoints; %d findings"
                .formatted(
                        time.toMinutes(),
                        time.toSecondsPart(),
                        duration.toMinutes(),
                        duration.toSecondsPart(),
                        watch.state(),
                        feed.sent(),
                        ledger.answers(),
                        ledger.deadLetters(),
                        watch.kills(),
                        watch.restarts(),
                        watch.completedCheckpoints(),
                        findings.counts().values().stream()
                                .mapToLong(Long::longValue)
                                .sum());
    }
}
