package io.llamafu.examples;

import io.llamafu.testing.RealModels;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import picocli.CommandLine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;

/** The example on real weights; skipped where these have not been fetched. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class SmolLmExampleIT {
    private static final Path DATA = Path.of(System.getProperty("llamafu.examples"), "data");
    private static final double MARGIN = 0.10;

    @Test
    void adaptersOfTheDomainsAnswerBetterThanTheBaseAndThanOneAdapterForAll() throws Exception {
        SmolLmReport report = example("--model=" + RealModels.smolLm2(), "--texts=24", "--all=reviews")
                .run();

        assertThat(report.isSound()).as("%s", report).isTrue();
        assertThat(report.runs())
                .extracting(SmolLmReport.Run::run)
                .containsExactly("own adapter", "base model", "reviews");
        double own = report.runs().get(0).mean();
        assertThat(own).isGreaterThanOrEqualTo(report.runs().get(1).mean() + MARGIN);
        assertThat(own).isGreaterThanOrEqualTo(report.runs().get(2).mean() + MARGIN);
    }

    @Test
    void labelsOfTheTextsAreThoseOfTheirDomain() throws IOException {
        Map<String, List<String>> labels = JsonLines.of(Domain.class).readAll(DATA.resolve("domains.jsonl")).stream()
                .collect(Collectors.toMap(Domain::domain, Domain::labels));

        assertThat(JsonLines.of(DomainText.class).readAll(DATA.resolve("texts.jsonl")))
                .hasSizeGreaterThan(300)
                .allSatisfy(text -> assertThat(labels.get(text.domain())).contains(text.label()));
    }

    private static SmolLmExample example(String... arguments) {
        SmolLmExample example = new SmolLmExample();
        new CommandLine(example).parseArgs(arguments);
        return example;
    }
}
