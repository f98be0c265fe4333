package io.llamafu.flink;

import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.testing.Await;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Savepoints of earlier versions can be restored. They are in {@code src/test/resources/savepoints}, with a folder for
 * each version of the state:
 *
 * <ol>
 *   <li>routes without variants, without rules, and requests without their own scales, sampling and limits
 *   <li>with them
 *   <li>with route histories that separate future changes from those in force
 *   <li>and prompts that say which of their parts may hold control tokens
 * </ol>
 *
 * <p>A change of {@code src/main/avro} that touches state needs a folder with the next number, written by
 * {@link #writeSavepoints} before it is merged; the older folders stay.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class MigrationIT {
    private static final int WRITTEN_VERSION = 4;
    /** The savepoints keep the time at which a key was last used. */
    private static final Duration TTL = Duration.ofDays(36_500);

    private static final int MAX_PARALLELISM = 8;
    /** More than the job has. */
    private static final int MOST_RESULTS = 100;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(2);

    @TempDir
    Path folder;

    /** The properties of a savepoint. */
    record Written(int version, boolean eventTime, String backend, boolean ttl) {
        private String location() {
            return "savepoints/%d/%s-%s%s"
                    .formatted(version, eventTime ? "event-time" : "processing-time", backend, ttl ? "-ttl" : "");
        }

        boolean hasRules() {
            return version >= 2;
        }

        boolean hasPromptParts() {
            return version >= 4;
        }

        @Override
        public String toString() {
            return location();
        }
    }

    static Stream<Written> savepoints() {
        return IntStream.rangeClosed(1, WRITTEN_VERSION).boxed().flatMap(MigrationIT::ofVersion);
    }

    static Stream<Written> written() {
        return ofVersion(WRITTEN_VERSION);
    }

    private static Stream<Written> ofVersion(int version) {
        return Stream.of(false, true)
                .flatMap(eventTime -> Stream.of("hashmap", "rocksdb").flatMap(backend -> Stream.of(false, true)
                        .filter(ttl -> version >= 2 || !ttl)
                        .map(ttl -> new Written(version, eventTime, backend, ttl))));
    }

    @ParameterizedTest
    @MethodSource("savepoints")
    void goesOn(Written written) throws Exception {
        assertGoesOn(written, written.ttl());
    }

    /** {@code routeTtl} may be set, changed and removed. */
    @ParameterizedTest
    @MethodSource("savepoints")
    void goesOnWithAnotherTtl(Written written) throws Exception {
        assertGoesOn(written, !written.ttl());
    }

    static Stream<Written> oneOfEachVersion() {
        return savepoints().filter(written -> written.location().endsWith("processing-time-hashmap"));
    }

    /** A prompt is kept whole, so that a record in flight has the one that the job before gave it. */
    @ParameterizedTest
    @MethodSource("oneOfEachVersion")
    void promptsInFlightKeepTheirParts(Written written) throws Exception {
        WatchedLeases leases = WatchedLeases.open();
        LlamafuOptions options =
                Notes.options().promptTemplate("### Note:\n{text}\n").build();

        assertThat(restore(written, written.ttl(), options, leases)).isEqualTo(expected(written));

        Prompt before = Notes.options().build().promptTemplate().render(Notes.text(0));
        List<Prompt> inFlight = leases.requests().stream()
                .map(CompletionRequest::prompt)
                .filter(prompt -> prompt.toString().equals(before.toString()))
                .toList();
        assertThat(inFlight)
                .hasSize(2)
                .containsOnly(written.hasPromptParts() ? before : Prompt.text(before.toString()));
    }

    private void assertGoesOn(Written written, boolean ttl) throws Exception {
        WatchedLeases leases = WatchedLeases.open();

        assertThat(restore(written, ttl, Notes.options().build(), leases)).isEqualTo(expected(written));

        if (written.hasRules()) {
            assertThat(leases.requests()).anySatisfy(MigrationIT::assertSaysWhatTheRecordSaid);
        }
    }

    /** The stacks that answer, by record. */
    private Map<String, String> restore(Written written, boolean ttl, LlamafuOptions options, WatchedLeases leases)
            throws Exception {
        Configuration configuration = configuration(written.backend());
        configuration.set(
                StateRecoveryOptions.SAVEPOINT_PATH, copy(written).toUri().toString());
        configuration.set(StateRecoveryOptions.SAVEPOINT_IGNORE_UNCLAIMED_STATE, true);
        StreamExecutionEnvironment env = environment(configuration, 2);
        DataStream<Ticket> probes = env.fromData(
                        Types.POJO(Ticket.class),
                        probe("a", 60),
                        probe("a", 120),
                        probe("b", 60),
                        probe("c", 60),
                        probe("gold-7", 60),
                        probe("other", 60))
                .assignTimestampsAndWatermarks(WatermarkStrategy.<Ticket>forMonotonousTimestamps()
                        .withTimestampAssigner((ticket, time) -> ticket.time));
        SavepointSteps.Streams streams = new SavepointSteps.Streams(
                probes,
                probes.filter(ticket -> false).map(ticket -> new AdapterRoute("", "", 0L, null)),
                probes.filter(ticket -> false).map(ticket -> new RouteRule("", "", 0, "", null, 0L)));

        Map<String, String> stacks = new TreeMap<>();
        complete(streams, written, ttl, options, leases)
                .build()
                .executeAndCollect(MOST_RESULTS)
                .forEach(completion -> stacks.put(completion.getId(), completion.getStack()));
        return stacks;
    }

    private static Map<String, String> expected(Written written) {
        boolean rules = written.hasRules();
        Map<String, String> expected = new TreeMap<>();
        expected.put("in flight", "medical");
        expected.put("in flight by default", rules ? "formal" : "");
        expected.put("a at 60", written.eventTime() ? "medical" : "legal");
        expected.put("a at 120", "legal");
        expected.put("b at 60", rules ? "formal" : "");
        expected.put("c at 60", rules ? "finance" : "medical");
        expected.put("gold-7 at 60", rules ? "finance" : "");
        expected.put("other at 60", rules ? "formal" : "");
        if (written.eventTime()) {
            expected.put("waits for 50", "medical");
            expected.put("waits for 150", "legal");
            expected.put("gold waits for 50", rules ? "finance" : "");
        }
        return expected;
    }

    private static void assertSaysWhatTheRecordSaid(CompletionRequest request) {
        assertThat(request.adapters().toString()).isEqualTo("medical:0.5");
        assertThat(request.maxTokens()).isEqualTo(7);
        assertThat(request.sampling())
                .isEqualTo(SamplingOptions.builder().topK(3).build());
    }

    private static Ticket probe(String tenant, long time) {
        return new Ticket(tenant + " at " + time, tenant, Notes.text(0), time);
    }

    /** A savepoint can be moved. */
    private Path copy(Written written) throws Exception {
        URI resource = MigrationIT.class.getResource("/" + written.location()).toURI();
        Path copy = Files.createDirectory(folder.resolve("copy"));
        Files.copy(Path.of(resource).resolve("_metadata"), copy.resolve("_metadata"));
        return copy;
    }

    /** Writes the savepoints of this version into the folder that the property names, such as src/test/resources. */
    @ParameterizedTest
    @MethodSource("written")
    @EnabledIfSystemProperty(named = "llamafu.write-savepoints", matches = ".+")
    void writeSavepoints(Written written) throws Exception {
        WatchedLeases leases = WatchedLeases.closed();
        StreamExecutionEnvironment env = environment(configuration(written.backend()), 1);
        complete(
                        steps(written).streams(env),
                        written,
                        written.ttl(),
                        Notes.options().build(),
                        leases)
                .build()
                .sinkTo(new DiscardingSink<>());
        JobClient job = env.executeAsync();
        Await.until("all steps in the state", () -> leases.requests().size() == 2);
        String savepoint = job.triggerSavepoint(folder.toUri().toString(), SavepointFormatType.CANONICAL)
                .get();
        job.cancel().get();

        Path target = Path.of(System.getProperty("llamafu.write-savepoints")).resolve(written.location());
        Files.createDirectories(target);
        Path metadata = target.resolve("_metadata");
        Files.write(
                metadata,
                withoutPlace(Files.readAllBytes(Path.of(URI.create(savepoint)).resolve("_metadata"))));
    }

    /** Pieces of state are named after the folder that they were written in; these names are never read. */
    private byte[] withoutPlace(byte[] metadata) {
        String place = folder.toString();
        return new String(metadata, StandardCharsets.ISO_8859_1)
                .replace(place, "-".repeat(place.length()))
                .getBytes(StandardCharsets.ISO_8859_1);
    }

    /** The last record is the second that reaches the engine; everything before it is then in the state. */
    private static SavepointSteps steps(Written written) {
        SavepointSteps steps = new SavepointSteps()
                .route("a", "medical", 10)
                .route("b", "legal", 10)
                .route("b", "null", 11);
        if (written.hasRules()) {
            steps.variants("c", "medical", "finance", 10)
                    .rule("gold-*", "finance", 10)
                    .rule("", "formal", 10);
        } else {
            steps.route("c", "medical", 10);
        }
        if (written.eventTime()) {
            steps.record("a", "waits for 50", 50)
                    .record("a", "waits for 150", 150)
                    .record("gold-1", "gold waits for 50", 50)
                    .watermark(20)
                    .watermarkOfRules(60);
        }
        return steps.record("a", "in flight", 15).route("a", "legal", 100).record("other", "in flight by default", 15);
    }

    private static CompletionBuilder<Ticket> complete(
            SavepointSteps.Streams streams,
            Written written,
            boolean ttl,
            LlamafuOptions options,
            WatchedLeases leases) {
        CompletionBuilder<Ticket> builder = new CompletionBuilder<>(streams.tickets(), leases)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(streams.routes())
                .with(options);
        if (written.hasRules()) {
            builder.rules(streams.rules())
                    .scales(ticket -> ticket.id().equals("in flight") ? Map.of("medical", 0.5f) : null)
                    .sampling(ticket -> ticket.id().equals("in flight")
                            ? SamplingOptions.builder().topK(3).build()
                            : null)
                    .maxTokens(ticket -> ticket.id().equals("in flight") ? 7 : null);
        }
        if (ttl) {
            builder.routeTtl(TTL);
        }
        return written.eventTime() ? builder.eventTime() : builder.processingTime();
    }

    /** Small state is in the metadata file, so that a savepoint is one file. */
    private Configuration configuration(String backend) {
        return Jobs.configuration(folder.resolve("checkpoints"))
                .set(StateBackendOptions.STATE_BACKEND, backend)
                .set(CheckpointingOptions.FS_SMALL_FILE_THRESHOLD, MemorySize.ofMebiBytes(1));
    }

    private static StreamExecutionEnvironment environment(Configuration configuration, int parallelism) {
        StreamExecutionEnvironment env = Jobs.environment(configuration, parallelism);
        env.setMaxParallelism(MAX_PARALLELISM);
        return env;
    }
}
