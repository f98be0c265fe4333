package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.completion.Outcome;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.utils.TypeConversions;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** INPUT and OUTPUT of CREATE MODEL. */
class ModelColumnsTest {
    private static final DataType TEXT = DataTypes.STRING();
    private static final DataType OPTIONS = DataTypes.MAP(DataTypes.STRING(), DataTypes.STRING());

    private static ResolvedSchema columns(Object... namesAndTypes) {
        Column[] columns = new Column[namesAndTypes.length / 2];
        for (int i = 0; i < columns.length; i++) {
            columns[i] = Column.physical((String) namesAndTypes[2 * i], (DataType) namesAndTypes[2 * i + 1]);
        }
        return ResolvedSchema.of(columns);
    }

    private static StringData text(String value) {
        return StringData.fromString(value);
    }

    @Test
    void columnsAreKnownByNameInAnyOrder() {
        ModelInput input =
                ModelInput.of(columns("options", OPTIONS, "body", TEXT, "adapters", TEXT, "head", DataTypes.CHAR(3)));

        assertThat(input.texts()).containsExactly("body", "head");
        assertThat(input.read(GenericRowData.of(
                        new GenericMapData(Map.of(text("seed"), text("3"))), text("b"), text("medical"), text("h"))))
                .hasValue(new ModelInput.Values(List.of("b", "h"), "medical", Map.of("seed", "3")));
    }

    @Test
    void caseOfNamesDoesNotMatter() {
        ModelInput input = ModelInput.of(columns("TEXT", TEXT, "ADAPTERS", TEXT, "Options", OPTIONS));

        assertThat(input.texts()).containsExactly("TEXT");
        assertThat(input.stackPosition()).isEqualTo(1);
        assertThat(input.optionsPosition()).isEqualTo(2);
        assertThat(ModelOutput.of(columns("ANSWER", TEXT)).columns()).containsExactly(OutputColumn.ANSWER);
    }

    @Test
    void nullAnywhereIsNothingToAsk() {
        ModelInput input = ModelInput.of(columns("text", TEXT, "adapters", TEXT));

        assertThat(input.read(GenericRowData.of(text("a"), null))).isEmpty();
        assertThat(input.read(GenericRowData.of(null, text("a")))).isEmpty();
    }

    @Test
    void inputOfAnotherTypeIsRefused() {
        assertThatThrownBy(() -> ModelInput.of(columns("id", DataTypes.INT())))
                .hasMessageContainingAll("'id' is INT", "must be STRING");
        assertThatThrownBy(() -> ModelInput.of(columns("text", TEXT, "adapters", DataTypes.ARRAY(TEXT))))
                .hasMessageContainingAll("'adapters' is ARRAY<STRING>", "must be STRING");
        assertThatThrownBy(() -> ModelInput.of(columns("adapters", TEXT))).hasMessageContaining("no text column");
    }

    @Test
    void outputIsAnyColumnOfItsOwnType() {
        assertThat(ModelOutput.of(columns("latency_ms", DataTypes.BIGINT(), "answer", TEXT))
                        .columns())
                .containsExactly(OutputColumn.LATENCY_MS, OutputColumn.ANSWER);
        assertThatThrownBy(() -> ModelOutput.of(columns("answer", DataTypes.VARCHAR(10))))
                .hasMessageContainingAll("'answer' is VARCHAR(10)", "must be STRING", "prompt_tokens INT");
        assertThatThrownBy(() -> ModelOutput.of(columns("reply", TEXT)))
                .hasMessageContainingAll("'reply'", "answer STRING");
    }

    @Test
    void outputIsAnySubset() {
        List<OutputColumn> all = List.of(OutputColumn.values());
        Outcome failure = Outcome.failed(new LlamafuException(ErrorCode.ADAPTER_NOT_FOUND, "no such adapter"));
        for (int subset = 1; subset < 1 << all.size(); subset++) {
            List<OutputColumn> chosen = new ArrayList<>();
            for (int i = 0; i < all.size(); i++) {
                if ((subset >> i & 1) != 0) {
                    chosen.add(0, all.get(i));
                }
            }
            ModelOutput output = ModelOutput.of(ResolvedSchema.of(chosen.stream()
                    .map(column -> (Column)
                            Column.physical(column.column(), TypeConversions.fromLogicalToDataType(column.type())))
                    .toList()));

            assertThat(output.columns()).isEqualTo(chosen);
            assertThat(output.row(failure))
                    .isEqualTo(GenericRowData.of(chosen.stream()
                            .map(column -> column == OutputColumn.ERROR
                                    ? text("no such adapter")
                                    : column == OutputColumn.ERROR_CODE ? text("ADAPTER_NOT_FOUND") : null)
                            .toArray()));
        }
    }
}
