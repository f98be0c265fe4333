package io.llamafu.examples.cluster;

import org.apache.flink.api.common.externalresource.ExternalResourceDriverFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * llama.cpp uses the GPU that Flink assigns to a real TaskManager. The index is beyond all GPUs of the machine, so
 * llama.cpp's error names it; a MiniCluster has no external resources.
 */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class GpuClusterIT {
    private static final int ALL_LAYERS = -1;
    private static final long IDLE_MILLIS = 60_000;

    private final Path folder = BuildOutput.target().resolve("gpu");

    @Test
    void engineTakesTheLowestGpuThatFlinkGave() throws Exception {
        Files.createDirectories(folder);
        Path driver =
                JobJar.writePlugin(folder.resolve("gpu.jar"), ExternalResourceDriverFactory.class, GivenGpus.class);
        try (LocalCluster cluster = LocalCluster.builder(folder)
                .library(BuildOutput.llamafuJar())
                .plugin(driver)
                .slots(2)
                .set("external-resources", "gpu")
                .set("external-resource.gpu.driver-factory.class", GivenGpus.class.getName())
                .set("external-resource.gpu.amount", "2")
                .set("external-resource.gpu.param.indexes", "99;97")
                .set("restart-strategy.type", "none")
                .start()) {
            NotesJobs notes =
                    NotesJobs.upload(cluster, JobJar.write(folder.resolve("notes.jar"), NotesJob.class, List.of()));

            String onTheGpu = notes.run(IDLE_MILLIS, 0, ALL_LAYERS);
            notes.rest().awaitState(onTheGpu, "FAILED", NotesJobs.WAIT);
            assertThat(notes.rest().failure(onTheGpu))
                    .hasValueSatisfying(failure -> assertThat(failure).contains("LlamafuException", "GPU 97"));

            String onTheCpu = notes.run(IDLE_MILLIS, 0, 0);
            notes.awaitAnswers(onTheCpu);
            notes.cancel(onTheCpu);

            cluster.startSqlGateway();
            assertThat(cluster.runSql(sqlOnTheGpu(), NotesJobs.WAIT)).contains("LlamafuException", "GPU 97");
        }
    }

    private Path sqlOnTheGpu() throws Exception {
        return Files.writeString(
                folder.resolve("gpu.sql"),
                """
                SET 'sql-client.execution.result-mode' = 'tableau';
                LOAD MODULE llamafu WITH ('model' = '%s', 'gpu-layers' = '-1');
                SELECT LLM_COMPLETE(note, '') FROM (VALUES ('a note')) AS notes (note);
                """
                        .formatted(NotesJobs.model()));
    }
}
