package io.llamafu.examples.cluster;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.TopicConfig;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;

/**
 * A single-node Kafka broker that is its own controller (KRaft), in a separate JVM. It ends with {@link #close} or with
 * this JVM. The class path of Kafka comes from {@code examples/distributions/kafka}, a module that must have been
 * built.
 */
public final class LocalKafka implements AutoCloseable {
    private static final long FORMAT_SECONDS = 120;
    private static final Duration START_TIMEOUT = Duration.ofMinutes(2);
    private static final int REQUEST_MILLIS = 5_000;

    private final Path home;
    private final int port;
    private final JavaProcess broker;
    private final Thread stopAtExit = new Thread(this::stop, "stop-local-kafka");

    private LocalKafka(Path home, int port, int controllerPort) throws IOException, InterruptedException {
        this.home = home;
        this.port = port;
        Path properties = home.resolve("server.properties");
        Files.writeString(properties, properties(home, port, controllerPort));
        LogConfiguration.write(home.resolve("log4j2.properties"));
        java(
                        "kafka-format",
                        "kafka.tools.StorageTool",
                        List.of("format", "-t", clusterId(), "-c", properties.toString()))
                .awaitSuccess(FORMAT_SECONDS);
        broker = java("kafka", "kafka.Kafka", List.of(properties.toString()));
        Runtime.getRuntime().addShutdownHook(stopAtExit);
    }

    private static String clusterId() {
        return Uuid.randomUuid().toString();
    }

    /**
     * Starts a broker without waiting for it.
     *
     * @param folder parent of a new folder for its data and logs
     */
    public static LocalKafka start(Path folder) throws IOException, InterruptedException {
        Files.createDirectories(folder);
        List<Integer> ports = FreePorts.find(2);
        return new LocalKafka(Files.createTempDirectory(folder.toAbsolutePath(), "kafka-"), ports.get(0), ports.get(1));
    }

    private JavaProcess java(String name, String mainClass, List<String> arguments) throws IOException {
        List<String> all = new ArrayList<>(List.of("-Xmx512m"));
        all.addAll(LogConfiguration.flags(home.resolve("log4j2.properties"), home.resolve(name + ".log")));
        all.add("-cp");
        all.add(BuildOutput.kafkaJars().stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator)));
        all.add(mainClass);
        all.addAll(arguments);
        return JavaProcess.start(name, all, home, Map.of(), home.resolve(name + ".out"));
    }

    /**
     * Internal topics have one partition and one replica, because there is one node. Retention is unlimited: timestamps
     * are event times, by which a broker would delete even records just written.
     */
    private static String properties(Path home, int port, int controllerPort) {
        return """
                process.roles=broker,controller
                node.id=1
                controller.quorum.voters=1@localhost:%2$d
                listeners=PLAINTEXT://localhost:%1$d,CONTROLLER://localhost:%2$d
                advertised.listeners=PLAINTEXT://localhost:%1$d
                listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
                controller.listener.names=CONTROLLER
                inter.broker.listener.name=PLAINTEXT
                log.dirs=%3$s
                auto.create.topics.enable=false
                log.retention.ms=-1
                offsets.topic.replication.factor=1
                offsets.topic.num.partitions=1
                transaction.state.log.replication.factor=1
                transaction.state.log.min.isr=1
                transaction.state.log.num.partitions=1
                share.coordinator.state.topic.replication.factor=1
                share.coordinator.state.topic.min.isr=1
                group.initial.rebalance.delay.ms=0
                """
                .formatted(port, controllerPort, home.resolve("data"));
    }

    /** The value for {@code bootstrap.servers}. */
    public String address() {
        return "localhost:" + port;
    }

    /**
     * Waits for the broker and creates topics.
     *
     * @param partitions by topic
     */
    public void createTopics(Map<String, Integer> partitions) throws Exception {
        createTopics(partitions, Set.of());
    }

    /**
     * Waits for the broker and creates topics.
     *
     * @param partitions by topic
     * @param compacted those of the topics that keep the last record of each key
     */
    public void createTopics(Map<String, Integer> partitions, Set<String> compacted) throws Exception {
        Map<String, Object> settings = Map.of(
                AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, address(),
                AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, REQUEST_MILLIS,
                AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, REQUEST_MILLIS);
        try (Admin admin = Admin.create(settings)) {
            Waiting.until("the Kafka broker answers", START_TIMEOUT, () -> {
                broker.requireAlive();
                return answers(admin);
            });
            List<NewTopic> topics = partitions.entrySet().stream()
                    .map(topic -> new NewTopic(topic.getKey(), topic.getValue(), (short) 1)
                            .configs(Map.of(
                                    TopicConfig.CLEANUP_POLICY_CONFIG,
                                    compacted.contains(topic.getKey())
                                            ? TopicConfig.CLEANUP_POLICY_COMPACT
                                            : TopicConfig.CLEANUP_POLICY_DELETE)))
                    .toList();
            admin.createTopics(topics).all().get();
        }
    }

    private static boolean answers(Admin admin) throws InterruptedException {
        try {
            return !admin.describeCluster().nodes().get().isEmpty();
        } catch (ExecutionException e) {
            return false;
        }
    }

    /** Does not throw. */
    @Override
    public void close() {
        stop();
        try {
            Runtime.getRuntime().removeShutdownHook(stopAtExit);
        } catch (IllegalStateException e) {
            // This JVM is ending, and the shutdown hook does the work.
        }
    }

    private void stop() {
        broker.askToEnd();
        broker.awaitEnd();
    }
}
