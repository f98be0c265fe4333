package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.Notes;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.util.CollectionUtil;
import org.apache.flink.util.ExceptionUtils;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

/** A SQL session as a user has it. */
final class Sql {
    private final StreamExecutionEnvironment execution;
    private final StreamTableEnvironment env;

    Sql(RuntimeExecutionMode mode) {
        this(mode, new Configuration());
    }

    Sql(RuntimeExecutionMode mode, Configuration configuration) {
        configuration.set(ExecutionOptions.RUNTIME_MODE, mode);
        this.execution = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        execution.setParallelism(2);
        this.env = StreamTableEnvironment.create(
                execution,
                EnvironmentSettings.newInstance()
                        .withConfiguration(configuration)
                        .build());
    }

    static MiniClusterExtension cluster() {
        return new MiniClusterExtension(new MiniClusterResourceConfiguration.Builder()
                .setNumberTaskManagers(1)
                .setNumberSlotsPerTaskManager(4)
                .build());
    }

    StreamTableEnvironment env() {
        return env;
    }

    StreamExecutionEnvironment execution() {
        return execution;
    }

    /** The options of all tests, so that they share one engine, with some additional ones. */
    static Map<String, String> options(String... keysAndValues) {
        Map<String, String> options =
                new HashMap<>(Notes.options().threads(1).build().toMap());
        for (int i = 0; i < keysAndValues.length; i += 2) {
            options.put(keysAndValues[i], keysAndValues[i + 1]);
        }
        return options;
    }

    static String with(Map<String, String> options) {
        return options.entrySet().stream()
                .map(option -> "%s = %s".formatted(literal(option.getKey()), literal(option.getValue())))
                .collect(Collectors.joining(", ", "WITH (", ")"));
    }

    static String literal(String text) {
        return "'" + text.replace("'", "''") + "'";
    }

    Sql loadModule(String... keysAndValues) {
        return execute("LOAD MODULE llamafu " + with(options(keysAndValues)));
    }

    /** A model of the provider 'llamafu'. */
    Sql createModel(String name, String input, String output, String... keysAndValues) {
        Map<String, String> options = options(keysAndValues);
        options.put("provider", "llamafu");
        if ("classification".equals(options.get("task"))) {
            options.remove("max-tokens");
        }
        return execute("CREATE MODEL %s INPUT (%s) OUTPUT (%s) %s".formatted(name, input, output, with(options)));
    }

    Sql execute(String statement) {
        try {
            env.executeSql(statement).await();
        } catch (Exception e) {
            throw new IllegalStateException(statement, e);
        }
        return this;
    }

    List<Row> rows(String query) {
        try {
            return CollectionUtil.iteratorToList(env.executeSql(query).collect());
        } catch (RuntimeException e) {
            throw new IllegalStateException(query, e);
        }
    }

    /** The only column of the only row. */
    Object value(String query) {
        List<Row> rows = rows(query);
        assertThat(rows).hasSize(1);
        return rows.get(0).getField(0);
    }

    /** The coded error of a statement that must fail, wherever it is among the causes. */
    static LlamafuException failure(Runnable statement) {
        Throwable thrown = catchThrowable(statement::run);
        assertThat(thrown).as("failure").isNotNull();
        return ExceptionUtils.findThrowable(thrown, LlamafuException.class)
                .orElseThrow(() -> new AssertionError("no coded error", thrown));
    }

    static void assertFails(Runnable statement, ErrorCode code, String... contents) {
        LlamafuException failure = failure(statement);
        assertThat(failure.code()).as(failure.getMessage()).isEqualTo(code);
        assertThat(failure.getMessage()).contains(contents);
    }
}
