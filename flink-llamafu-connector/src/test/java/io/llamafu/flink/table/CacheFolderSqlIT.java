package io.llamafu.flink.table;

import io.llamafu.adapter.Sha256;
import io.llamafu.flink.Notes;
import io.llamafu.flink.artifact.RemoteStore;
import io.llamafu.testing.Programs;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.concurrent.TimeUnit;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.assertj.core.api.Assertions.assertThat;

/** SQL sessions of separate processes that share a cache. */
@Timeout(value = 600, unit = TimeUnit.SECONDS)
class CacheFolderSqlIT {
    private static final String NOTE = Notes.text(0);
    private static final String RESULT = "result: ";

    @TempDir
    Path folder;

    private Path remote;
    private Path cache;

    @BeforeEach
    void publishModel() throws IOException {
        remote = folder.resolve("remote");
        cache = Files.createDirectory(
                folder.resolve("cache"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwxr-xr-x")));
        RemoteStore.over(remote).publish("base.gguf", TinyModel.model());
    }

    /** What a process answers, or the message of its failure, and how often it reads the model. */
    private String answer() throws Exception {
        String output = Programs.run(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "--add-opens=java.base/java.lang=ALL-UNNAMED",
                "--add-opens=java.base/java.util=ALL-UNNAMED",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                CacheFolderSqlIT.class.getName(),
                remote.toString(),
                cache.toString()));
        return output.lines()
                .filter(line -> line.startsWith(RESULT))
                .map(line -> line.substring(RESULT.length()))
                .findFirst()
                .orElseThrow(() -> new AssertionError(output));
    }

    public static void main(String[] arguments) {
        RemoteStore store = RemoteStore.named("models", Path.of(arguments[0]));
        String result;
        try {
            result = (String) new Sql(BATCH)
                    .loadModule("model", store.uri("base.gguf").toString(), "cache.dir", arguments[1])
                    .value("SELECT LLM_COMPLETE(%s)".formatted(Sql.literal(NOTE)));
        } catch (RuntimeException e) {
            result = Sql.failure(() -> {
                        throw e;
                    })
                    .toString();
        }
        System.out.printf("%s%s, reads %d%n", RESULT, result, store.reads("base.gguf"));
        System.exit(0);
    }

    @Test
    void whatOthersMayWriteToIsNeverLoaded() throws Exception {
        String answer = Notes.answer(NOTE, "");
        assertThat(answer()).isEqualTo(answer + ", reads 1");
        Path content = cache.resolve("content");
        Files.setPosixFilePermissions(content, PosixFilePermissions.fromString("rwxrwxrwx"));
        assertThat(answer())
                .contains("INVALID_OPTION", "'" + content + "'", "may be written to by everybody", "reads 0");

        Files.setPosixFilePermissions(content, PosixFilePermissions.fromString("rwx------"));
        Path model = content.resolve(Sha256.of(TinyModel.model()));
        Files.setPosixFilePermissions(model, PosixFilePermissions.fromString("rw-rw-rw-"));
        assertThat(answer()).as("fetched again").isEqualTo(answer + ", reads 1");
    }
}
