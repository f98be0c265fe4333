package io.llamafu.examples.cluster;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * Runs of {@link NotesJob} in a cluster.
 *
 * @param jar as the cluster names it
 */
record NotesJobs(FlinkRest rest, String jar) {
    static final Duration WAIT = Duration.ofMinutes(2);

    private static final Path MODELS = BuildOutput.target().resolveSibling("models");

    static NotesJobs upload(LocalCluster cluster, Path jar) throws Exception {
        return new NotesJobs(cluster.rest(), cluster.rest().upload(jar));
    }

    /** Its model. */
    static Path model() {
        return MODELS.resolve("tiny-notes-q8_0.gguf");
    }

    /** The folder of its adapters. */
    static Path adapters() {
        return MODELS.resolve("adapters");
    }

    /** Submits the job with the arguments of {@link NotesJob#main}, and returns its id. */
    String run(long idleMillis, int failAfter, int gpuLayers) throws Exception {
        return rest.run(
                jar,
                NotesJob.class.getName(),
                List.of(
                        model().toString(),
                        adapters().toString(),
                        Long.toString(idleMillis),
                        Integer.toString(failAfter),
                        Integer.toString(gpuLayers)));
    }

    void awaitAnswers(String job) throws Exception {
        Waiting.until(
                "job %s has answered".formatted(job),
                WAIT,
                () -> rest.metricByTaskManager(job, "llamafu.completions").values().stream()
                        .anyMatch(completions -> completions > 0));
    }

    void cancel(String job) throws Exception {
        rest.cancel(job);
        rest.awaitState(job, "CANCELED", WAIT);
    }
}
