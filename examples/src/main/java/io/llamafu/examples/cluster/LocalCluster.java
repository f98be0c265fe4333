package io.llamafu.examples.cluster;

import io.llamafu.examples.cluster.FlinkFolder.Resources;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static java.util.Objects.requireNonNull;

/**
 * A Flink session cluster of real processes on this machine: a JobManager, TaskManagers and optionally a SQL gateway,
 * each a JVM started with the command that Flink's scripts would use. The state backend is RocksDB; checkpoints are in
 * the cluster's folder.
 *
 * <pre>{@code
 * try (LocalCluster cluster = LocalCluster.builder(folder)
 *         .library(BuildOutput.llamafuJar())     // into lib/, so that all jobs share a model
 *         .taskManagers(2)
 *         .slots(2)                              // of each TaskManager
 *         .set("execution.checkpointing.interval", "1 s")
 *         .start()) {
 *     FlinkRest rest = cluster.rest();
 *     String job = rest.run(rest.upload(jobJar), "com.example.Job", List.of("--name", "value"));
 *     rest.awaitState(job, "FINISHED", Duration.ofMinutes(2));
 *     cluster.startSqlGateway();                 // once; Llamafu's modules and models are found in lib/
 *     String printed = cluster.runSql(script);   // the SQL client with -f script; may be called again and again
 * }
 * }</pre>
 *
 * <p>The processes end with {@link #close} or with this JVM. Their logs are in {@code log/} of the folder. The class
 * path of Flink comes from {@code examples/distributions/flink}, a module that must have been built; see {@link
 * BuildOutput}.
 */
public final class LocalCluster implements AutoCloseable {
    private static final String HOST = "localhost";
    private static final String TASK_MANAGER_FLAGS = "env.java.opts.taskmanager";
    private static final Duration START_TIMEOUT = Duration.ofMinutes(2);

    private final FlinkFolder flink;
    private final FlinkRest rest;
    private final int gatewayPort;
    private final Resources taskManagerResources;
    private final List<String> taskManagerFlags;
    /** In the order of their start; also guards {@code stopped}. */
    private final List<JavaProcess> processes = new ArrayList<>();

    private boolean stopped;

    private final List<JavaProcess> taskManagers = new ArrayList<>();
    private final Thread stopAtExit = new Thread(this::stopProcesses, "stop-local-cluster");
    private int startedTaskManagers;
    private int scripts;

    private LocalCluster(FlinkFolder flink, int restPort, int gatewayPort, List<String> taskManagerFlags)
            throws IOException, InterruptedException {
        this.flink = flink;
        this.rest = new FlinkRest(URI.create("http://%s:%d".formatted(HOST, restPort)));
        this.gatewayPort = gatewayPort;
        this.taskManagerResources = flink.resources("GET_TM_RESOURCE_PARAMS");
        this.taskManagerFlags = taskManagerFlags;
    }

    /**
     * Describes a cluster.
     *
     * @param folder parent of a new folder for it
     */
    public static Builder builder(Path folder) {
        return new Builder(folder);
    }

    /** The description of a cluster. */
    public static final class Builder {
        private final Path folder;
        private final List<Path> libraries = new ArrayList<>();
        private final List<Path> plugins = new ArrayList<>();
        private final Map<String, String> configuration = new LinkedHashMap<>();
        private int taskManagers = 1;
        private int slots = 1;

        private Builder(Path folder) {
            this.folder = requireNonNull(folder, "folder is null");
        }

        /** A jar for {@code lib/}, beside Flink's own. */
        public Builder library(Path jar) {
            libraries.add(requireNonNull(jar, "jar is null"));
            return this;
        }

        /** A jar for its own folder in {@code plugins/}. */
        public Builder plugin(Path jar) {
            plugins.add(requireNonNull(jar, "jar is null"));
            return this;
        }

        /** The number of TaskManagers at the start; one unless set. */
        public Builder taskManagers(int count) {
            taskManagers = count;
            return this;
        }

        /** Slots of each TaskManager; one unless set. */
        public Builder slots(int count) {
            slots = count;
            return this;
        }

        /**
         * An option of Flink, which overrides the defaults of this class. Of the {@code env} options, only {@code
         * env.java.opts.taskmanager} has an effect.
         */
        public Builder set(String key, String value) {
            configuration.put(requireNonNull(key, "key is null"), requireNonNull(value, "value is null"));
            return this;
        }

        /** Starts the processes and waits until all TaskManagers have registered. */
        public LocalCluster start() throws Exception {
            Files.createDirectories(folder);
            Path home = Files.createTempDirectory(folder.toAbsolutePath(), "cluster-");
            List<Integer> ports = FreePorts.find(3);
            Map<String, String> all = defaults(home, ports.get(0), ports.get(1));
            all.putAll(configuration);
            FlinkFolder flink = FlinkFolder.create(home, libraries, plugins, all);
            List<String> flags = Stream.of(
                            all.getOrDefault(TASK_MANAGER_FLAGS, "").split("\\s+"))
                    .filter(flag -> !flag.isEmpty())
                    .toList();
            LocalCluster cluster = new LocalCluster(flink, ports.get(1), ports.get(2), flags);
            try {
                cluster.start(taskManagers);
                return cluster;
            } catch (Exception | Error e) {
                cluster.close();
                throw e;
            }
        }

        private Map<String, String> defaults(Path home, int rpcPort, int restPort) {
            Map<String, String> defaults = new LinkedHashMap<>();
            defaults.put("jobmanager.rpc.address", HOST);
            defaults.put("jobmanager.rpc.port", Integer.toString(rpcPort));
            defaults.put("jobmanager.bind-host", HOST);
            defaults.put("jobmanager.memory.flink.size", "512m");
            defaults.put("rest.address", HOST);
            defaults.put("rest.bind-address", HOST);
            defaults.put("rest.port", Integer.toString(restPort));
            defaults.put("taskmanager.host", HOST);
            defaults.put("taskmanager.bind-host", HOST);
            defaults.put("taskmanager.numberOfTaskSlots", Integer.toString(slots));
            defaults.put("taskmanager.memory.flink.size", "896m");
            defaults.put("taskmanager.memory.managed.size", "128m");
            defaults.put("taskmanager.memory.task.off-heap.size", "128m");
            defaults.put("io.tmp.dirs", home.resolve("tmp").toString());
            defaults.put("state.backend.type", "rocksdb");
            defaults.put(
                    "execution.checkpointing.dir",
                    home.resolve("checkpoints").toUri().toString());
            defaults.put("restart-strategy.type", "fixed-delay");
            defaults.put("restart-strategy.fixed-delay.attempts", "10");
            defaults.put("restart-strategy.fixed-delay.delay", "1 s");
            // A killed TaskManager is detected after two missed heartbeats.
            defaults.put("heartbeat.interval", "1 s");
            // Queries should get current metrics, not those of ten seconds ago.
            defaults.put("metrics.fetcher.update-interval", "500 ms");
            return defaults;
        }
    }

    private void start(int count) throws Exception {
        Runtime.getRuntime().addShutdownHook(stopAtExit);
        Resources resources = flink.resources("GET_JM_RESOURCE_PARAMS");
        List<String> arguments =
                new ArrayList<>(List.of("--configDir", flink.configurationFolder(), "--executionMode", "cluster"));
        arguments.addAll(resources.arguments());
        JavaProcess jobManager = add(flink.start(
                "jobmanager",
                resources.jvmFlags(),
                "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
                arguments));
        for (int i = 0; i < count; i++) {
            startTaskManager();
        }
        Waiting.until("the JobManager answers", START_TIMEOUT, () -> {
            jobManager.requireAlive();
            return rest.answers("/overview");
        });
        awaitTaskManagers();
    }

    private JavaProcess add(JavaProcess process) {
        synchronized (processes) {
            processes.add(process);
            if (stopped) {
                // This JVM was told to end while it started another process.
                process.askToEnd();
            }
        }
        return process;
    }

    public FlinkRest rest() {
        return rest;
    }

    /** The running TaskManagers. Their {@link JavaProcess#name} is their id in REST paths. */
    public List<JavaProcess> taskManagers() {
        return List.copyOf(taskManagers);
    }

    /** Starts another TaskManager without waiting for it. */
    public JavaProcess startTaskManager() throws IOException {
        startedTaskManagers++;
        String name = "taskmanager-" + startedTaskManagers;
        List<String> flags = new ArrayList<>(taskManagerResources.jvmFlags());
        flags.addAll(taskManagerFlags);
        List<String> arguments = new ArrayList<>(List.of("--configDir", flink.configurationFolder()));
        arguments.addAll(taskManagerResources.arguments());
        arguments.addAll(List.of("-D", "taskmanager.resource-id=" + name));
        JavaProcess taskManager =
                add(flink.start(name, flags, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", arguments));
        taskManagers.add(taskManager);
        return taskManager;
    }

    /** {@code kill -9} of a TaskManager. */
    public void kill(JavaProcess taskManager) throws InterruptedException {
        taskManagers.remove(taskManager);
        taskManager.kill();
    }

    /** Waits until all running TaskManagers have registered. */
    public void awaitTaskManagers() throws Exception {
        Waiting.until("%d TaskManagers have registered".formatted(taskManagers.size()), START_TIMEOUT, () -> {
            taskManagers.forEach(JavaProcess::requireAlive);
            return rest.taskManagers() == taskManagers.size();
        });
    }

    /** The log file of a process. */
    public Path log(JavaProcess process) {
        return flink.log(process.name());
    }

    /** Starts a SQL gateway for this cluster and waits until it responds. */
    public void startSqlGateway() throws Exception {
        JavaProcess gateway = add(flink.start(
                "sql-gateway",
                List.of("-Xmx512m"),
                "org.apache.flink.table.gateway.SqlGateway",
                List.of(
                        "-Dsql-gateway.endpoint.rest.address=" + HOST,
                        "-Dsql-gateway.endpoint.rest.port=" + gatewayPort)));
        FlinkRest gatewayRest = new FlinkRest(URI.create("http://%s:%d".formatted(HOST, gatewayPort)));
        Waiting.until("the SQL gateway answers", START_TIMEOUT, () -> {
            gateway.requireAlive();
            return gatewayRest.answers("/info");
        });
    }

    /**
     * Runs a script in the SQL client through the gateway, which {@link #startSqlGateway} must have started.
     *
     * @return all output of the client
     * @throws IllegalStateException if the client does not end with 0 in that time
     */
    public String runSql(Path script, Duration timeout) throws IOException, InterruptedException {
        scripts++;
        JavaProcess client = add(flink.start(
                "sql-client-" + scripts,
                List.of("-Xmx256m"),
                "org.apache.flink.table.client.SqlClient",
                List.of(
                        "gateway",
                        "--endpoint",
                        HOST + ":" + gatewayPort,
                        "--history",
                        flink.temporary().resolve("sql-history").toString(),
                        "-f",
                        script.toAbsolutePath().toString())));
        return client.awaitSuccess(timeout.toSeconds());
    }

    /** Starts {@code flink run} of a class of a jar; the process ends with the program. */
    public JavaProcess flinkRun(Path jar, String mainClass, List<String> arguments) throws IOException {
        scripts++;
        List<String> all = new ArrayList<>(
                List.of("run", "-c", mainClass, jar.toAbsolutePath().toString()));
        all.addAll(arguments);
        return add(flink.start(
                "flink-run-" + scripts, List.of("-Xmx256m"), "org.apache.flink.client.cli.CliFrontend", all));
    }

    /** Stops all processes and kills those that do not end in time. Does not throw. */
    @Override
    public void close() {
        stopProcesses();
        try {
            Runtime.getRuntime().removeShutdownHook(stopAtExit);
        } catch (IllegalStateException e) {
            // This JVM is ending, and the shutdown hook does the work.
        }
    }

    private void stopProcesses() {
        List<JavaProcess> all;
        synchronized (processes) {
            stopped = true;
            all = List.copyOf(processes);
        }
        all.forEach(JavaProcess::askToEnd);
        all.forEach(JavaProcess::awaitEnd);
    }
}
