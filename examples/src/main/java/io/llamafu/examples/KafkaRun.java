package io.llamafu.examples;

import io.llamafu.examples.cluster.FlinkRest;
import io.llamafu.examples.cluster.JavaProcess;
import io.llamafu.examples.cluster.LocalCluster;
import io.llamafu.examples.cluster.Waiting;

import java.io.IOException;
import java.time.Duration;
import java.util.SortedMap;
import java.util.TreeMap;

/** Follows a submitted job from its first ticket to its last committed answer. For one thread. */
final class KafkaRun {
    private static final Duration POLL = Duration.ofMillis(100);
    private static final Duration WATCH_INTERVAL = Duration.ofSeconds(1);
    private static final Duration READ_TIMEOUT = Duration.ofMinutes(1);
    private static final String MODEL_LOADS = "llamafu.engine.modelLoads";

    private final LocalCluster cluster;
    private final FlinkRest rest;
    private final String job;
    private final KafkaFeed feed;
    private final KafkaValues<Answer> answers;
    private final Progress progress;
    private final SortedMap<String, Long> modelLoads = new TreeMap<>();
    private int restarts;

    KafkaRun(LocalCluster cluster, String job, KafkaFeed feed, KafkaValues<Answer> answers, Progress progress) {
        this.cluster = cluster;
        this.rest = cluster.rest();
        this.job = job;
        this.feed = feed;
        this.answers = answers;
        this.progress = progress;
    }

    /**
     * Feeds tickets and reads answers until the job has ended and everything is read.
     *
     * @param killAfter the number of committed answers after which a TaskManager is killed and another started; 0 is
     *     never
     * @throws IllegalStateException if the job fails, or has not finished in time
     */
    void follow(int killAfter, Duration timeout) throws Exception {
        long start = System.nanoTime();
        long watched = start;
        boolean killDue = killAfter > 0;
        while (true) {
            long now = System.nanoTime();
            feed.sendUntil(now - start);
            answers.poll(POLL);
            progress.show(answers.committed().size());
            if (killDue && answers.committed().size() >= killAfter) {
                killDue = false;
                replaceTaskManager();
            }
            if (now - watched >= WATCH_INTERVAL.toNanos()) {
                watched = now;
                if (hasFinished()) {
                    break;
                }
                readMetrics();
            }
            if (now - start > timeout.toNanos()) {
                throw new IllegalStateException("After %s only %d answers are committed, and the job is %s. %s"
                        .formatted(
                                timeout,
                                answers.committed().size(),
                                rest.state(job),
                                rest.failure(job).orElse("")));
            }
        }
        Waiting.until("all committed answers are read", READ_TIMEOUT, () -> {
            answers.poll(POLL);
            return answers.isAtEnd();
        });
        progress.end(answers.committed().size());
    }

    private void replaceTaskManager() throws IOException, InterruptedException {
        JavaProcess victim = cluster.taskManagers().get(0);
        progress.abort();
        System.err.println("kill -9 of " + victim.name());
        cluster.kill(victim);
        cluster.startTaskManager();
    }

    private boolean hasFinished() throws IOException, InterruptedException {
        String state = rest.state(job);
        if (state.equals("FAILED") || state.equals("CANCELED")) {
            throw new IllegalStateException(
                    "The job is %s. %s".formatted(state, rest.failure(job).orElse("Flink does not say why.")));
        }
        return state.equals("FINISHED");
    }

    private void readMetrics() throws IOException, InterruptedException {
        restarts = Math.max(restarts, rest.restarts(job));
        rest.metricByTaskManager(job, MODEL_LOADS)
                .forEach((taskManager, loads) -> modelLoads.merge(taskManager, loads.longValue(), Math::max));
    }

    int restarts() {
        return restarts;
    }

    /** By TaskManager. */
    SortedMap<String, Long> modelLoads() {
        return modelLoads;
    }
}
