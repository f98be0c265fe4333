package io.llamafu.examples.soak;

import io.llamafu.examples.cluster.FlinkRest;
import io.llamafu.examples.cluster.FlinkRest.Checkpoint;
import io.llamafu.examples.cluster.FlinkRest.Failure;
import io.llamafu.examples.cluster.JavaProcess;
import io.llamafu.examples.cluster.LocalCluster;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Watches a job and its cluster, and kills TaskManagers: always the youngest, so that one survives throughout. Events
 * that no kill explains are findings. For one thread.
 */
final class ClusterWatch {
    /** A killed TaskManager fails the job; Flink may notice it a little later. */
    private static final long AFTERMATH_MILLIS = 5_000;
    /** Requests fail while the JobManager is busy, or when it loses the TaskManager that is asked for. */
    private static final int MOST_FAILED_REQUESTS = 60;

    private static final int SHOWN_TRACE = 1_500;
    /** A failure that contains this is not a consequence of a kill. */
    private static final String OUR_ERROR = "LlamafuException";

    /** From the end of a TaskManager until the job runs again. */
    private static final class Outage {
        private final String taskManager;
        private final long beginMillis;
        private final int restartsBefore;
        private long endMillis = Long.MAX_VALUE;

        private Outage(String taskManager, long beginMillis, int restartsBefore) {
            this.taskManager = taskManager;
            this.beginMillis = beginMillis;
            this.restartsBefore = restartsBefore;
        }

        private boolean isOver() {
            return endMillis != Long.MAX_VALUE;
        }

        /** Whether an event between two times overlaps the outage. */
        private boolean explains(long from, long to) {
            return from <= (isOver() ? endMillis + AFTERMATH_MILLIS : Long.MAX_VALUE) && to >= beginMillis;
        }
    }

    private final LocalCluster cluster;
    private final FlinkRest rest;
    private final String job;
    private final Findings findings;
    private final MemoryCurve memory;
    private final long startNanos = System.nanoTime();
    private final Map<String, Long> startedNanos = new HashMap<>();
    private final List<Outage> outages = new ArrayList<>();
    private final SortedMap<Long, Checkpoint> checkpoints = new TreeMap<>();
    private final SortedMap<Long, Failure> failures = new TreeMap<>();
    private final String longestLived;
    private String state = "CREATED";
    private long endingMillis = Long.MAX_VALUE;
    private int failedRequests;
    private int kills;
    private int restarts;
    private int ended;
    private long completedCheckpoints;
    private long longestOutageMillis;

    ClusterWatch(LocalCluster cluster, String job, Findings findings, MemoryCurve memory) {
        this.cluster = cluster;
        this.rest = cluster.rest();
        this.job = job;
        this.findings = findings;
        this.memory = memory;
        this.longestLived = cluster.taskManagers().get(0).name();
        cluster.taskManagers().forEach(taskManager -> startedNanos.put(taskManager.name(), startNanos));
    }

    /** Checks everything; to be called about once a second. */
    void look() throws IOException, InterruptedException {
        replaceEnded();
        sampleMemory();
        try {
            state = rest.state(job);
            restarts = Math.max(restarts, rest.restarts(job));
            FlinkRest.Checkpoints now = rest.checkpoints(job);
            completedCheckpoints = Math.max(completedCheckpoints, now.completed());
            now.latest().forEach(checkpoint -> checkpoints.put(checkpoint.id(), checkpoint));
            rest.failures(job).forEach(failure -> failures.put(failure.epochMillis(), failure));
            endOutage();
            failedRequests = 0;
        } catch (IOException e) {
            failedRequests++;
            if (failedRequests > MOST_FAILED_REQUESTS) {
                throw e;
            }
        }
    }

    private void replaceEnded() throws IOException, InterruptedException {
        for (JavaProcess taskManager : cluster.taskManagers()) {
            if (!taskManager.isAlive()) {
                ended++;
                findings.broken(
                        Promise.TASK_MANAGERS,
                        "%s; its log: %s".formatted(taskManager.howItEnded(), cluster.log(taskManager)));
                replace(taskManager);
            }
        }
    }

    private void replace(JavaProcess taskManager) throws IOException, InterruptedException {
        outages.add(new Outage(taskManager.name(), System.currentTimeMillis(), restarts));
        cluster.kill(taskManager);
        startedNanos.put(cluster.startTaskManager().name(), System.nanoTime());
    }

    /** {@code kill -9} of the youngest TaskManager, and starts another one. Returns the name of the killed one. */
    String kill() throws IOException, InterruptedException {
        List<JavaProcess> taskManagers = cluster.taskManagers();
        JavaProcess youngest = taskManagers.get(taskManagers.size() - 1);
        kills++;
        replace(youngest);
        return youngest.name();
    }

    private void sampleMemory() {
        long now = System.nanoTime();
        for (JavaProcess taskManager : cluster.taskManagers()) {
            taskManager
                    .residentBytes()
                    .ifPresent(bytes -> memory.add(
                            taskManager.name(),
                            Duration.ofNanos(now - startNanos),
                            Duration.ofNanos(now - startedNanos.get(taskManager.name())),
                            bytes));
        }
    }

    private void endOutage() throws IOException, InterruptedException {
        if (outages.isEmpty()) {
            return;
        }
        Outage outage = outages.get(outages.size() - 1);
        boolean over = state.equals("FINISHED") || (restarts > outage.restartsBefore && rest.isFullyRunning(job));
        if (!outage.isOver() && over) {
            long now = System.currentTimeMillis();
            outages.stream().filter(one -> !one.isOver()).forEach(one -> one.endMillis = now);
            longestOutageMillis = Math.max(longestOutageMillis, now - outage.beginMillis);
        }
    }

    /** All records are sent: the sources end, and Flink declines checkpoints of ending tasks. */
    void ending() {
        endingMillis = Math.min(endingMillis, System.currentTimeMillis());
    }

    /** Whether the job was running at the last check, with no TaskManager missing. */
    boolean isWhole() {
        return outages.stream().allMatch(Outage::isOver);
    }

    /** Turns the observations into findings. */
    void close() {
        for (Failure failure : failures.values()) {
            if (!isExplained(failure)) {
                findings.broken(Promise.ONE_JOB, "The job failed: " + shown(failure.stackTrace()));
            }
        }
        for (Checkpoint checkpoint : checkpoints.values()) {
            long end = checkpoint.triggered() + Math.max(checkpoint.millis(), 0);
            boolean explained = isExplained(checkpoint.triggered(), end) || end >= endingMillis;
            if (checkpoint.status().equals("FAILED") && !explained) {
                findings.broken(Promise.CHECKPOINTS, "Checkpoint failed: " + checkpoint);
            }
        }
        for (Outage outage : outages) {
            if (!outage.isOver()) {
                findings.broken(
                        Promise.KILLS, "The job has not run again after the end of " + outage.taskManager + ".");
            }
        }
    }

    private boolean isExplained(Failure failure) {
        boolean names = outages.stream()
                .anyMatch(outage -> failure.taskManager().equals(outage.taskManager)
                        || failure.stackTrace().contains(outage.taskManager));
        return !failure.stackTrace().contains(OUR_ERROR)
                && (names || isExplained(failure.epochMillis(), failure.epochMillis()));
    }

    private boolean isExplained(long from, long to) {
        return outages.stream().anyMatch(outage -> outage.explains(from, to));
    }

    private static String shown(String trace) {
        return trace.length() <= SHOWN_TRACE ? trace : trace.substring(0, SHOWN_TRACE) + "...";
    }

    /** The job's state at the last check: RUNNING, RESTARTING, FINISHED, FAILED... */
    String state() {
        return state;
    }

    int kills() {
        return kills;
    }

    int restarts() {
        return restarts;
    }

    /** TaskManagers that ended without being killed. */
    int ended() {
        return ended;
    }

    long completedCheckpoints() {
        return completedCheckpoints;
    }

    long failedCheckpoints() {
        return checkpoints.values().stream()
                .filter(checkpoint -> checkpoint.status().equals("FAILED"))
                .count();
    }

    /** The longest completed checkpoint. */
    long longestCheckpointMillis() {
        return checkpoints.values().stream()
                .filter(checkpoint -> checkpoint.status().equals("COMPLETED"))
                .mapToLong(Checkpoint::millis)
                .max()
                .orElse(0);
    }

    long longestOutageMillis() {
        return longestOutageMillis;
    }

    /** The TaskManager that is never killed. */
    String longestLived() {
        return longestLived;
    }
}
