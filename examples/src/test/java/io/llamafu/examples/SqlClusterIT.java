package io.llamafu.examples;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The scripts of examples/sql on real processes: SQL client, gateway, cluster, and the jar to install. */
@Timeout(value = 600, unit = TimeUnit.SECONDS)
class SqlClusterIT {
    @TempDir
    Path folder;

    @Test
    void scriptsShowWhatTheySayTheyShow() throws Exception {
        run(3);
    }

    @Test
    void jarMayBeAddedToTheSession() throws Exception {
        run(2, "--add-jar", "--script=functions,models");
    }

    private void run(int scripts, String... options) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("--out=" + folder));
        arguments.addAll(List.of(options));
        SqlExample example = CommandLine.populateCommand(new SqlExample(), arguments.toArray(new String[0]));

        assertThat(example.run()).hasSize(scripts).allSatisfy(report -> {
            assertThat(report.failures()).as(report.script()).isEmpty();
            assertThat(report.checks()).as(report.script()).isPositive();
        });
    }
}
