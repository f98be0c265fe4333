package io.llamafu.flink.table;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import io.llamafu.grammar.TestSchemas;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.assertj.core.api.Assertions.assertThat;

/** Results of LLM_EXTRACT are valid for an independent validator of JSON Schema. */
@Timeout(value = 240, unit = TimeUnit.SECONDS)
class LlmExtractIT {
    private static final int TEXTS = 8;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    /** Texts with the results of the function under each of the schemas. */
    private static List<Row> extract(RuntimeExecutionMode mode, List<String> schemas, String arguments) {
        List<Row> questions = new ArrayList<>();
        for (String schema : schemas) {
            questions.add(Row.of(" ", schema));
            Notes.texts().stream().limit(TEXTS).forEach(text -> questions.add(Row.of(text, schema)));
        }
        Sql sql = new Sql(mode).loadModule("max-tokens", "400");
        sql.env()
                .createTemporaryView(
                        "questions",
                        sql.env()
                                .fromDataStream(sql.execution()
                                        .fromData(
                                                Types.ROW_NAMED(
                                                        new String[] {"text", "schema"}, Types.STRING, Types.STRING),
                                                questions.toArray(new Row[0]))));
        return sql.rows("SELECT schema, LLM_EXTRACT(text, schema%s) FROM questions".formatted(arguments));
    }

    /** At a high temperature, so that the model writes random documents. An answer that max-tokens ended is NULL. */
    @ParameterizedTest
    @EnumSource(names = {"STREAMING", "BATCH"})
    void answersAreValidBySomebodyElsesValidator(RuntimeExecutionMode mode) throws JsonProcessingException {
        Map<String, TestSchemas.Example> schemas =
                TestSchemas.all().stream().collect(Collectors.toMap(TestSchemas.Example::schema, Function.identity()));
        assertThat(schemas).hasSizeGreaterThanOrEqualTo(30);

        List<Row> rows = extract(
                mode,
                List.copyOf(schemas.keySet()),
                ", 'medical', MAP['on-error', 'null', 'temperature', '0.7', 'seed', '5']");

        assertThat(rows).hasSize(schemas.size() * (TEXTS + 1));
        Set<String> answered = new HashSet<>();
        for (Row row : rows) {
            String answer = row.getFieldAs(1);
            if (answer != null) {
                TestSchemas.Example schema = schemas.get(row.<String>getFieldAs(0));
                assertThat(schema.problems(TestSchemas.JSON.readTree(answer)))
                        .as("%s: %s", schema, answer)
                        .isEmpty();
                answered.add(schema.name());
            }
        }
        assertThat(answered)
                .containsExactlyInAnyOrderElementsOf(
                        schemas.values().stream().map(TestSchemas.Example::name).toList());
    }

    @Test
    void answerThatIsCutIsAnErrorAndNoJson() {
        List<String> endless = List.of("{\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 500}");

        Sql.assertFails(
                () -> extract(BATCH, endless, ""), ErrorCode.ANSWER_INCOMPLETE, "raise max-tokens", "It begins: [");
        assertThat(extract(BATCH, endless, ", '', MAP['on-error', 'null']"))
                .hasSize(TEXTS + 1)
                .allSatisfy(row -> assertThat(row.getField(1)).isNull());
    }
}
