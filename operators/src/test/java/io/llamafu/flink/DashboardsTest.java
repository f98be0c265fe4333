package io.llamafu.flink;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Dashboards and alerts ask only for metrics of {@code docs/operators.md}, which {@link MetricsIT} compares with those of
 * a job, and {@code docs/operations.md} explains each alert.
 */
class DashboardsTest {
    private static final Path DOCKER = Path.of("../docker");
    private static final Pattern METRIC = Pattern.compile("flink_taskmanager_job_task_operator_llamafu_(\\w+)");
    private static final Pattern ALERT = Pattern.compile("(?m)^ *- alert: (\\w+)$");

    @Test
    void metricsOfQueriesAreThoseThatJobsExport() throws IOException {
        Set<String> documented = Pattern.compile("(?m)^\\| `[^|]+\\|")
                .matcher(metricsSection())
                .results()
                .flatMap(
                        row -> Pattern.compile("`([^`]+)`").matcher(row.group()).results())
                .map((MatchResult name) -> name.group(1))
                .map(name -> name.replaceAll("\\.<\\w+>\\.", "_"))
                .collect(Collectors.toSet());
        Set<String> exported = new HashSet<>(documented);
        documented.forEach(name -> exported.add("engine_" + name));

        assertThat(queries()).hasSizeGreaterThan(40);
        Set<String> asked = queries().stream()
                .flatMap(query -> METRIC.matcher(query).results())
                .map((MatchResult name) -> name.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(asked).isNotEmpty().isSubsetOf(exported);
    }

    private static String metricsSection() throws IOException {
        String guide = Files.readString(Path.of("../docs/operators.md"));
        int begin = guide.indexOf("\n## Metrics\n");
        return guide.substring(begin, guide.indexOf("\n## ", begin + 1));
    }

    private static List<String> queries() throws IOException {
        List<String> queries = new ArrayList<>();
        queries.add(Files.readString(DOCKER.resolve("prometheus/alerts.yml")));
        try (Stream<Path> dashboards = Files.list(DOCKER.resolve("grafana/dashboards"))) {
            for (Path dashboard : dashboards.toList()) {
                JsonNode content = new ObjectMapper().readTree(dashboard.toFile());
                assertThat(content.path("uid").asText())
                        .as(dashboard.toString())
                        .isNotEmpty();
                content.findValuesAsText("expr").forEach(queries::add);
                content.path("templating").findValuesAsText("query").forEach(queries::add);
            }
        }
        return queries;
    }

    @Test
    void everyAlertIsExplained() throws IOException {
        List<String> alerts = ALERT.matcher(Files.readString(DOCKER.resolve("prometheus/alerts.yml")))
                .results()
                .map((MatchResult alert) -> alert.group(1))
                .toList();
        String guide = Files.readString(Path.of("../docs/operations.md"));

        assertThat(alerts).isNotEmpty().allSatisfy(alert -> assertThat(guide).contains("`" + alert + "`"));
    }
}
