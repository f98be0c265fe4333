package io.llamafu.flink.table;

import io.llamafu.flink.Notes;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.testutils.InMemoryReporter;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;

/** The metrics of a function that asks several models. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class ProfileMetricsIT {
    private static final InMemoryReporter REPORTER = InMemoryReporter.createWithRetainedMetrics();

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = new MiniClusterExtension(new MiniClusterResourceConfiguration.Builder()
            .setConfiguration(REPORTER.addToConfiguration(new Configuration()))
            .setNumberTaskManagers(1)
            .setNumberSlotsPerTaskManager(2)
            .build());

    @Test
    void everyProfileHasMetricsOfItsOwn() {
        Map<String, String> parameters = new HashMap<>();
        Sql.options("max-tokens", "2").forEach((key, value) -> parameters.put("llamafu.profile.one." + key, value));
        Sql.options("max-tokens", "3").forEach((key, value) -> parameters.put("llamafu.profile.two." + key, value));
        Sql sql = new Sql(STREAMING).loadModule("max-tokens", "1");
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, parameters);

        assertThat(sql.rows("SELECT LLM_COMPLETE(text), LLM_COMPLETE(text, '', MAP['profile', 'one']),"
                        + " LLM_COMPLETE(text, '', MAP['profile', 'two']) FROM (VALUES (%s)) AS t (text)"
                                .formatted(Sql.literal(Notes.text(0)))))
                .hasSize(1);

        Map<String, Long> tokens = new TreeMap<>();
        REPORTER.getMetricsByGroup().forEach((group, metrics) -> {
            List<String> scope = List.of(group.getScopeComponents());
            int function = scope.indexOf("function");
            if (function >= 0 && scope.get(scope.size() - 1).equals("llamafu")) {
                String name = String.join(".", scope.subList(function, scope.size()));
                tokens.merge(name, ((Counter) metrics.get("generatedTokens")).getCount(), Long::sum);
            }
        });
        assertThat(tokens)
                .containsExactly(
                        Map.entry("function.LLM_COMPLETE.llamafu", 1L),
                        Map.entry("function.LLM_COMPLETE.profile.one.llamafu", 2L),
                        Map.entry("function.LLM_COMPLETE.profile.two.llamafu", 3L));
    }
}
