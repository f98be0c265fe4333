package io.llamafu.examples;

import io.llamafu.examples.cluster.BuildOutput;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import picocli.CommandLine;

import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The Kafka example on real processes, while one of them is killed. */
@Timeout(value = 240, unit = TimeUnit.SECONDS)
class KafkaClusterIT {
    @Test
    void killedTaskManagerCostsNoAnswerAndDoublesNone() throws Exception {
        KafkaExample example = CommandLine.populateCommand(
                new KafkaExample(),
                "--out=" + BuildOutput.target().resolve("kafka-it"),
                "--records=1000",
                "--task-managers=2",
                "--rate=50",
                "--kill-after=300",
                "--checkpoint-interval=1000",
                "--timeout=180");

        KafkaReport report = example.run();
        System.out.println(JsonLines.write(report));

        assertThat(report.answers().isSound()).as("%s", report).isTrue();
        assertThat(report.answers().records()).isEqualTo(1000);
        assertThat(report.answers().completions()).isEqualTo(1000);
        assertThat(report.answers().exactMatch()).isGreaterThanOrEqualTo(0.97);
        assertThat(report.restarts()).isPositive();
        assertThat(report.modelLoads())
                .as("of the one that was killed, the one that stayed and the one that came")
                .hasSize(3)
                .allSatisfy((taskManager, loads) -> assertThat(loads).isEqualTo(1));
    }
}
