package io.llamafu.flink.table;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SpecVersion;
import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.assertj.core.api.Assertions.assertThat;

/** What LLM_EXTRACT gives is valid by others' reading of the schema. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class LlmExtractIT {
    private static final JsonSchemaFactory SCHEMAS = JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012);
    private static final ObjectMapper JSON = new ObjectMapper();

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    private static List<Row> extract(String schema, String arguments) {
        String texts = Notes.texts().stream()
                .limit(8)
                .map(text -> "(" + Sql.literal(text) + ")")
                .collect(Collectors.joining(", ", "(VALUES ", ", ('')) AS t (text)"));
        return new Sql(BATCH)
                .loadModule("max-tokens", "400")
                .rows("SELECT LLM_EXTRACT(text, %s%s) FROM %s".formatted(Sql.literal(schema), arguments, texts));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"type\": \"boolean\"}",
                "{\"enum\": [\"it's\", \"\\\"quoted\\\"\", 7, null, [1]]}",
                "{\"type\": \"integer\", \"minimum\": 3, \"maximum\": 12}",
                "{\"type\": \"string\", \"format\": \"date\"}",
                "{\"type\": \"array\", \"items\": {\"type\": \"string\", \"maxLength\": 8}, \"minItems\": 1, \"maxItems\": 3}",
                "{\"type\": \"object\", \"properties\": {\"topic\": {\"enum\": [\"health\", \"law\"]}, \"note\": {\"type\": \"string\", \"maxLength\": 12}}, \"required\": [\"topic\"]}",
                "{\"type\": \"object\", \"properties\": {\"items\": {\"type\": \"array\", \"maxItems\": 2, \"items\": {\"$ref\": \"#/$defs/item\"}}}, \"required\": [\"items\"], \"$defs\": {\"item\": {\"type\": \"object\", \"properties\": {\"price\": {\"type\": \"number\", \"minimum\": 0}, \"currency\": {\"const\": \"EUR\"}}, \"required\": [\"price\", \"currency\"], \"additionalProperties\": false}}}",
            })
    void answersAreValid(String schema) throws JsonProcessingException {
        JsonSchema judge = SCHEMAS.getSchema(schema);

        List<Row> rows = extract(schema, ", 'medical'");

        assertThat(rows).hasSize(9);
        for (Row row : rows) {
            String answer = row.getFieldAs(0);
            assertThat(judge.validate(JSON.readTree(answer))).as(answer).isEmpty();
        }
    }

    @Test
    void answerThatIsCutIsAnErrorAndNoJson() {
        String endless = "{\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 500}";

        Sql.assertFails(() -> extract(endless, ""), ErrorCode.ANSWER_INCOMPLETE, "raise max-tokens", "It begins: [");
        assertThat(extract(endless, ", '', MAP['on-error', 'null']")).hasSize(9).containsOnly(Row.of((Object) null));
    }
}
