package io.llamafu.examples.soak;

import io.llamafu.examples.JsonLines;
import io.llamafu.examples.cluster.BuildOutput;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import picocli.CommandLine;

import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The soak test in two minutes; {@code examples/run soak} is its long form. */
@Timeout(value = 900, unit = TimeUnit.SECONDS)
class SoakClusterIT {
    @Test
    void noRecordFileOrKillHurtsTheJob() throws Exception {
        SoakExample example = CommandLine.populateCommand(
                new SoakExample(),
                "--out=" + BuildOutput.target().resolve("soak-it"),
                "--minutes=2",
                "--rate=20",
                "--publish-every=2000",
                "--patience=300");

        SoakReport report = example.run();
        System.out.println(report.table());
        System.out.println(JsonLines.write(report));

        assertThat(report.isSound()).as(report.table()).isTrue();
        assertThat(report.records()).isEqualTo(2400);
        assertThat(report.answers() + report.deadLetters()).isEqualTo(2400);
        assertThat(report.exact()).isGreaterThanOrEqualTo(2160);
        assertThat(report.kills()).isEqualTo(1);
        assertThat(report.restarts()).isPositive();
        assertThat(report.checkpoints()).isPositive();
    }
}
