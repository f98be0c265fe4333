package io.llamafu.examples.cluster;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** The location of the jar decides which jobs share a model, on a real TaskManager. */
@Timeout(value = 600, unit = TimeUnit.SECONDS)
class ClassLoadersClusterIT {
    private static final String MODEL_OPENED = "LlamaCppEngine - Opened";
    private static final String SECOND_CLASS_LOADER = "was loaded by class loader number 2 of this JVM";
    private static final String SMALL_MEMORY = "taskmanager.memory.task.off-heap.size is 1024.000kb";
    private static final String REFUSED_BY_JVM = "already loaded in another classloader";

    private static final String CANNOT_BE_LOADED = "NoClassDefFoundError";

    private static final int JOBS_IN_A_ROW = 4;

    /** The number of restarts; 20 in the long form of this test. */
    private static final int RESTARTS = Integer.getInteger("llamafu.restarts");

    private static final int WARM_UP = 5;
    private static final long LONG_IDLE = 60_000;
    private static final long NO_IDLE = 1;
    /** The number of answers until a failure. */
    private static final int NEVER = 0;

    private static final int CPU_ONLY = 0;

    private final Path folder = BuildOutput.target().resolve("class-loaders");
    private LocalCluster cluster;

    @AfterEach
    void stop() {
        if (cluster != null) {
            cluster.close();
        }
    }

    @Test
    void jobsShareTheModelOfTheLibFolder() throws Exception {
        start(builder().library(BuildOutput.llamafuJar()).set("taskmanager.memory.task.off-heap.size", "1m"));

        runTwo(jobAlone());

        assertThat(logged(MODEL_OPENED)).isEqualTo(1);
        assertThat(logged(SECOND_CLASS_LOADER)).isZero();
        assertThat(logged(SMALL_MEMORY)).as("warnings of the one engine").isEqualTo(1);
    }

    @Test
    void jobsHaveTheirOwnModelsInTheirOwnJars() throws Exception {
        start(builder());

        runTwo(jobWithLlamafu());

        assertEachHasItsOwnModel();
        assertThat(logged(SMALL_MEMORY)).isZero();
    }

    @Test
    void jobsHaveTheirOwnModelsThoughTheLibFolderHasLlamafuToo() throws Exception {
        start(builder().library(BuildOutput.llamafuJar()));

        runTwo(jobWithLlamafu());

        assertEachHasItsOwnModel();
    }

    private void assertEachHasItsOwnModel() throws IOException {
        assertThat(logged(MODEL_OPENED)).isEqualTo(2);
        assertThat(logged(SECOND_CLASS_LOADER)).isEqualTo(1);
        assertThat(logged(REFUSED_BY_JVM)).isZero();
    }

    @Test
    void parentFirstJobsShareTheModelOfTheLibFolderThoughTheirJarsHaveLlamafuToo() throws Exception {
        start(builder()
                .library(BuildOutput.llamafuJar())
                .set("classloader.parent-first-patterns.additional", "io.llamafu.;org.apache.avro."));

        runTwo(jobWithLlamafu());

        assertThat(logged(MODEL_OPENED)).isEqualTo(1);
        assertThat(logged(SECOND_CLASS_LOADER)).isZero();
    }

    @Test
    void jobsRunWithFlinksAvroFormatsBesideLlamafuInTheLibFolder() throws Exception {
        start(withAvroFormats().library(BuildOutput.llamafuJar()));

        runTwo(jobAlone());
    }

    @Test
    void jobsRunWithFlinksAvroFormatsInTheLibFolderAndLlamafuInTheirJars() throws Exception {
        start(withAvroFormats());

        runTwo(jobWithLlamafu());
    }

    private LocalCluster.Builder withAvroFormats() throws IOException {
        LocalCluster.Builder builder = builder();
        BuildOutput.avroFormatJars().forEach(builder::library);
        return builder;
    }

    /** Two jobs at a time; each sees one model. */
    private void runTwo(Path jobJar) throws Exception {
        NotesJobs notes = NotesJobs.upload(cluster, jobJar);
        List<String> jobs = List.of(notes.run(LONG_IDLE, NEVER, CPU_ONLY), notes.run(LONG_IDLE, NEVER, CPU_ONLY));
        for (String job : jobs) {
            notes.awaitAnswers(job);
            assertThat(modelLoads(job)).isEqualTo(Map.of("taskmanager-1", 1.0));
        }
    }

    @Test
    void restartsOfJobsFindTheModelOfTheLibFolderLoaded() throws Exception {
        start(builder().library(BuildOutput.llamafuJar()));
        NotesJobs notes = NotesJobs.upload(cluster, jobAlone());

        String failing = notes.run(LONG_IDLE, 10, CPU_ONLY);
        Waiting.until(
                "the job has failed often enough",
                NotesJobs.WAIT.plusSeconds(10L * RESTARTS),
                () -> cluster.rest().restarts(failing) >= RESTARTS);
        notes.cancel(failing);
        runAndCancel(notes, LONG_IDLE, RESTARTS);

        assertThat(logged(MODEL_OPENED)).isEqualTo(1);
    }

    @Test
    void classLoadersOfEndedJobsAreCollected() throws Exception {
        // Touches the heap at the start, so that later growth has another cause.
        start(builder().set("env.java.opts.taskmanager", "-XX:+AlwaysPreTouch"));
        NotesJobs notes = NotesJobs.upload(cluster, jobWithLlamafu());
        long pid = cluster.taskManagers().get(0).pid();

        runAndCancel(notes, NO_IDLE, WARM_UP);
        MemoryOf before = MemoryOf.process(pid);
        runAndCancel(notes, NO_IDLE, RESTARTS);
        MemoryOf after = MemoryOf.process(pid);

        System.out.printf("%d restarts: before %s, after %s%n", RESTARTS, before, after);
        assertThat(after.jobClassLoaders())
                .as("caches of the JVM may name the last one")
                .isLessThanOrEqualTo(1);
        assertThat(after.nativeLibraries()).isLessThanOrEqualTo(1);
        assertThat(after.metaspaceBytes()).isLessThan(before.metaspaceBytes() * 1.05);
        assertThat(after.residentBytes()).isLessThan(before.residentBytes() * 105 / 100);
        assertThat(logged(MODEL_OPENED)).isEqualTo(WARM_UP + RESTARTS);
    }

    @Test
    void enginesOfAJobsJarEndWithTheJobHoweverLongTheyMayBeIdle() throws Exception {
        start(builder());
        NotesJobs notes = NotesJobs.upload(cluster, jobWithLlamafu());

        runAndCancel(notes, LONG_IDLE, JOBS_IN_A_ROW);

        assertThat(logged(MODEL_OPENED)).isEqualTo(JOBS_IN_A_ROW);
        assertNoEngineIsLeft();
        assertClassLoadersHaveGone();
    }

    @Test
    void enginesOfAnAddedJarEndWithTheirQueries() throws Exception {
        start(builder());
        cluster.startSqlGateway();
        Path script = Files.writeString(
                folder.resolve("added.sql"),
                """
                ADD JAR '%s';
                LOAD MODULE llamafu WITH ('model' = '%s', 'adapters' = '%s', 'max-tokens' = '4', 'threads' = '1', 'idle-timeout' = '60 s');
                CREATE MODEL notes INPUT (text STRING) OUTPUT (answer STRING)
                  WITH ('provider' = 'llamafu', 'model' = '%2$s', 'max-tokens' = '4', 'threads' = '1', 'idle-timeout' = '60 s');
                SET 'sql-client.execution.result-mode' = 'tableau';
                SELECT LLM_COMPLETE(text, 'medical') FROM (VALUES ('one')) AS t (text);
                SELECT LLM_COMPLETE(text, 'legal') FROM (VALUES ('two')) AS t (text);
                CREATE TEMPORARY VIEW three AS SELECT text FROM (VALUES ('three')) AS t (text);
                SELECT answer FROM ML_PREDICT(TABLE three, MODEL notes, DESCRIPTOR(text));
                SELECT LLM_TOKENS(text) FROM (VALUES ('four')) AS t (text);
                """
                        .formatted(BuildOutput.llamafuJar(), NotesJobs.model(), NotesJobs.adapters()));

        String printed = cluster.runSql(script, NotesJobs.WAIT);

        assertThat(logged(MODEL_OPENED)).as(printed).isEqualTo(JOBS_IN_A_ROW);
        assertNoEngineIsLeft();
    }

    private void assertNoEngineIsLeft() throws Exception {
        long pid = cluster.taskManagers().get(0).pid();
        Waiting.until(
                "all engines have ended",
                NotesJobs.WAIT,
                () -> MemoryOf.process(pid).engineThreads() == 0);
        assertThat(logged(CANNOT_BE_LOADED)).isZero();
    }

    /** Except for the last one, to which caches of the JVM may refer. */
    private void assertClassLoadersHaveGone() throws Exception {
        MemoryOf after = MemoryOf.process(cluster.taskManagers().get(0).pid());
        assertThat(after.nativeLibraries()).isLessThanOrEqualTo(1);
        assertThat(after.jobClassLoaders()).isLessThanOrEqualTo(1);
    }

    private static void runAndCancel(NotesJobs notes, long idleMillis, int times) throws Exception {
        for (int i = 0; i < times; i++) {
            String job = notes.run(idleMillis, NEVER, CPU_ONLY);
            notes.awaitAnswers(job);
            notes.cancel(job);
        }
    }

    private LocalCluster.Builder builder() {
        return LocalCluster.builder(folder)
                .slots(2)
                .set("restart-strategy.fixed-delay.attempts", "1000")
                .set("restart-strategy.fixed-delay.delay", "100 ms");
    }

    private void start(LocalCluster.Builder builder) throws Exception {
        Files.createDirectories(folder);
        cluster = builder.start();
    }

    private Path jobAlone() throws Exception {
        return JobJar.write(folder.resolve("notes.jar"), NotesJob.class, List.of());
    }

    private Path jobWithLlamafu() throws Exception {
        return JobJar.write(
                folder.resolve("notes-with-llamafu.jar"), NotesJob.class, List.of(BuildOutput.llamafuJar()));
    }

    private Map<String, Double> modelLoads(String job) throws Exception {
        Map<String, Double> loads = new HashMap<>();
        Waiting.until("job %s tells its modelLoads".formatted(job), NotesJobs.WAIT, () -> {
            loads.putAll(cluster.rest().metricByTaskManager(job, "llamafu.engine.modelLoads"));
            return !loads.isEmpty();
        });
        return loads;
    }

    private long logged(String text) throws IOException {
        try (Stream<String> lines =
                Files.lines(cluster.log(cluster.taskManagers().get(0)))) {
            return lines.filter(line -> line.contains(text)).count();
        }
    }
}
