package io.llamafu.examples.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;

/** The part of the JobManager's REST interface that the examples use. */
public final class FlinkRest {
    /** Flink's location of a subtask that waits for a slot. */
    private static final String NO_TASK_MANAGER = "(unassigned)";

    private static final int OK = 200;
    private static final Duration REQUEST_TIMEOUT = Duration.ofSeconds(60);

    private final ObjectMapper json = new ObjectMapper();
    private final HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(REQUEST_TIMEOUT)
            .build();
    private final URI address;

    FlinkRest(URI address) {
        this.address = address;
    }

    public URI address() {
        return address;
    }

    /** Whether the service is available. */
    boolean answers(String path) throws IOException, InterruptedException {
        try {
            return client.send(request(path).GET().build(), HttpResponse.BodyHandlers.discarding())
                            .statusCode()
                    == OK;
        } catch (ConnectException e) {
            return false;
        }
    }

    /** The number of registered TaskManagers. */
    public int taskManagers() throws IOException, InterruptedException {
        return get("/overview").path("taskmanagers").asInt();
    }

    /** Uploads a job jar and returns its name for {@link #run}. */
    public String upload(Path jar) throws IOException, InterruptedException {
        String boundary = UUID.randomUUID().toString();
        String head =
                "--%s\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"%s\"\r\nContent-Type: application/java-archive\r\n\r\n"
                        .formatted(boundary, jar.getFileName());
        BodyPublisher body = BodyPublishers.concat(
                BodyPublishers.ofString(head),
                BodyPublishers.ofFile(jar),
                BodyPublishers.ofString("\r\n--%s--\r\n".formatted(boundary)));
        JsonNode reply = send(request("/jars/upload")
                .header("Content-Type", "multipart/form-data; boundary=" + boundary)
                .POST(body));
        return Path.of(reply.path("filename").asText()).getFileName().toString();
    }

    /**
     * Runs a main class of an uploaded jar, which submits one job, and returns the id of the job.
     *
     * @param jar as returned by {@link #upload}
     */
    public String run(String jar, String mainClass, List<String> arguments) throws IOException, InterruptedException {
        String body = json.writeValueAsString(Map.of("entryClass", mainClass, "programArgsList", arguments));
        return send(request("/jars/" + encode(jar) + "/run")
                        .header("Content-Type", "application/json")
                        .POST(BodyPublishers.ofString(body)))
                .path("jobid")
                .asText();
    }

    /** Such as RUNNING, RESTARTING, FINISHED, FAILED, CANCELED. */
    public String state(String job) throws IOException, InterruptedException {
        return get("/jobs/" + job).path("state").asText();
    }

    /** Whether every task of the job is running. */
    public boolean isFullyRunning(String job) throws IOException, InterruptedException {
        JsonNode details = get("/jobs/" + job);
        for (JsonNode vertex : details.path("vertices")) {
            if (vertex.path("tasks").path("RUNNING").asInt()
                    != vertex.path("parallelism").asInt()) {
                return false;
            }
        }
        return details.path("state").asText().equals("RUNNING");
    }

    /**
     * Waits until the job has that state.
     *
     * @throws IllegalStateException on a timeout, or if the job ends in another state; the message has Flink's reason
     */
    public void awaitState(String job, String state, Duration timeout) throws Exception {
        Waiting.until("job %s is %s".formatted(job, state), timeout, () -> {
            String now = state(job);
            if (!now.equals(state) && List.of("FINISHED", "FAILED", "CANCELED").contains(now)) {
                throw new IllegalStateException("Job %s is %s in place of %s. %s"
                        .formatted(job, now, state, failure(job).orElse("")));
            }
            return now.equals(state);
        });
    }

    /** The stack trace of the job's last failure, if any. */
    public Optional<String> failure(String job) throws IOException, InterruptedException {
        JsonNode newest =
                get("/jobs/" + job + "/exceptions").path("exceptionHistory").path("entries");
        return newest.isEmpty()
                ? Optional.empty()
                : Optional.of(newest.get(0).path("stacktrace").asText());
    }

    /**
     * A failure of a job.
     *
     * @param epochMillis time of the failure
     * @param taskManager id of the TaskManager where it happened; empty if Flink names none
     */
    public record Failure(long epochMillis, String taskManager, String stackTrace) {}

    /** The most recent failures that made the job restart, as many as {@code web.exception-history-size} keeps. */
    public List<Failure> failures(String job) throws IOException, InterruptedException {
        List<Failure> failures = new ArrayList<>();
        for (JsonNode entry :
                get("/jobs/" + job + "/exceptions").path("exceptionHistory").path("entries")) {
            failures.add(new Failure(
                    entry.path("timestamp").asLong(),
                    entry.path("taskManagerId").asText(""),
                    entry.path("stacktrace").asText()));
        }
        return failures;
    }

    /**
     * The checkpoints of a job.
     *
     * @param completed number since the job was submitted
     * @param latest the most recent ones, as many as {@code web.checkpoints.history} keeps
     */
    public record Checkpoints(long completed, List<Checkpoint> latest) {}

    /**
     * One checkpoint.
     *
     * @param status such as COMPLETED, FAILED, IN_PROGRESS
     * @param triggered in milliseconds since the epoch
     * @param millis from the trigger to the last acknowledgement
     * @param failure the reason of the failure; empty if it did not fail
     */
    public record Checkpoint(long id, String status, long triggered, long millis, String failure) {}

    public Checkpoints checkpoints(String job) throws IOException, InterruptedException {
        JsonNode checkpoints = get("/jobs/" + job + "/checkpoints");
        List<Checkpoint> latest = new ArrayList<>();
        for (JsonNode checkpoint : checkpoints.path("history")) {
            latest.add(new Checkpoint(
                    checkpoint.path("id").asLong(),
                    checkpoint.path("status").asText(),
                    checkpoint.path("trigger_timestamp").asLong(),
                    checkpoint.path("end_to_end_duration").asLong(),
                    checkpoint.path("failure_message").asText("")));
        }
        return new Checkpoints(checkpoints.path("counts").path("completed").asLong(), latest);
    }

    public void cancel(String job) throws IOException, InterruptedException {
        send(request("/jobs/" + job + "?mode=cancel").method("PATCH", BodyPublishers.noBody()));
    }

    /** The number of restarts of the job. */
    public int restarts(String job) throws IOException, InterruptedException {
        return metric("/jobs/" + job + "/metrics", "numRestarts")
                .map(Double::intValue)
                .orElse(0);
    }

    /** A metric of a TaskManager such as {@code Status.JVM.Memory.Metaspace.Used}; empty until it is known. */
    public Optional<Double> taskManagerMetric(String taskManager, String name)
            throws IOException, InterruptedException {
        return metric("/taskmanagers/" + encode(taskManager) + "/metrics", name);
    }

    /**
     * A metric of an operator's subtasks by TaskManager; the highest value of its subtasks there.
     *
     * @param suffix the end of the metric's name, such as {@code llamafu.engine.modelLoads}
     */
    public SortedMap<String, Double> metricByTaskManager(String job, String suffix)
            throws IOException, InterruptedException {
        SortedMap<String, Double> values = new TreeMap<>();
        for (JsonNode vertex : get("/jobs/" + job).path("vertices")) {
            String path = "/jobs/" + job + "/vertices/" + vertex.path("id").asText();
            for (JsonNode subtask : get(path).path("subtasks")) {
                String taskManager = subtask.path("taskmanager-id").asText();
                if (taskManager.equals(NO_TASK_MANAGER)) {
                    continue;
                }
                String metrics = path + "/subtasks/" + subtask.path("subtask").asInt() + "/metrics";
                for (JsonNode metric : get(metrics)) {
                    String name = metric.path("id").asText();
                    if (name.endsWith("." + suffix)) {
                        metric(metrics, name).ifPresent(value -> values.merge(taskManager, value, Math::max));
                    }
                }
            }
        }
        return values;
    }

    private Optional<Double> metric(String path, String name) throws IOException, InterruptedException {
        JsonNode values = get(path + "?get=" + encode(name));
        return values.isEmpty()
                ? Optional.empty()
                : Optional.of(values.get(0).path("value").asDouble());
    }

    /** The response to a GET, as JSON. */
    public JsonNode get(String path) throws IOException, InterruptedException {
        return send(request(path).GET());
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(address.resolve(path)).timeout(REQUEST_TIMEOUT);
    }

    private JsonNode send(HttpRequest.Builder builder) throws IOException, InterruptedException {
        HttpRequest request = builder.build();
        HttpResponse<String> response =
                client.send(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
        if (response.statusCode() / 100 != 2) {
            throw new IOException("%s %s gave %d: %s"
                    .formatted(request.method(), request.uri(), response.statusCode(), response.body()));
        }
        return json.readTree(response.body());
    }

    private static String encode(String part) {
        return URLEncoder.encode(part, StandardCharsets.UTF_8);
    }
}
