package io.llamafu.examples;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The scripts of examples/sql on real processes: SQL client, gateway, cluster, and the jar to install in lib/. */
@Timeout(value = 600, unit = TimeUnit.SECONDS)
class SqlClusterIT {
    @TempDir
    Path folder;

    @Test
    void scriptsShowWhatTheySayTheyShow() throws Exception {
        SqlExample example = CommandLine.populateCommand(new SqlExample(), "--out=" + folder);

        assertThat(example.run()).hasSize(3).allSatisfy(report -> {
            assertThat(report.failures()).as(report.script()).isEmpty();
            assertThat(report.checks()).as(report.script()).isPositive();
        });
    }
}
