package io.llamafu.examples;

import io.llamafu.examples.cluster.BuildOutput;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import picocli.CommandLine;

import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The examples with a Kafka broker whose job runs in this process. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class KafkaExamplesIT {
    @Test
    void ticketsAreLabelledByTheLastRouteOfTheirTenant() throws Exception {
        EnrichReport report = CommandLine.populateCommand(
                        new EnrichExample(), "--out=" + BuildOutput.target().resolve("enrich-it"), "--records=200")
                .run();

        assertThat(report.isSound()).as("%s", report).isTrue();
        assertThat(report.tickets()).isEqualTo(200);
        assertThat(report.exactMatch()).isGreaterThanOrEqualTo(0.97);
    }

    @Test
    void adapterWithBetterAnswersIsPromoted() throws Exception {
        CanaryReport report = CommandLine.populateCommand(
                        new CanaryExample(), "--out=" + BuildOutput.target().resolve("canary-it"))
                .run();

        assertThat(report.isSound()).as("%s", report).isTrue();
        assertThat(report.decision()).isEqualTo("promoted");
        assertThat(report.currentAnswers()).isPositive();
    }
}
