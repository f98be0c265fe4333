package io.llamafu.flink.table;

import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeFamily;
import org.apache.flink.table.types.logical.MapType;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The INPUT columns of a model: {@code adapters} is the stack, {@code options} the options of the call, all others are
 * texts of the {@code prompt-template}.
 *
 * @param texts names of the text columns
 * @param textPositions their positions
 * @param stackPosition -1 for the base model
 * @param optionsPosition -1 if there are none
 */
record ModelInput(List<String> texts, List<Integer> textPositions, int stackPosition, int optionsPosition)
        implements Serializable {
    private static final String STACK = "adapters";
    private static final String OPTIONS = "options";
    private static final String SHAPE =
            "INPUT has one or more text columns (STRING), and at most 'adapters' (STRING), the stack, and 'options'"
                    + " (MAP<STRING, STRING>), those of the call";

    /** The values of a row. */
    record Values(List<String> texts, String stack, Map<String, String> options) {}

    /**
     * Reads the columns.
     *
     * @throws io.llamafu.LlamafuException with INVALID_OPTION
     */
    static ModelInput of(ResolvedSchema schema) {
        List<String> texts = new ArrayList<>();
        List<Integer> textPositions = new ArrayList<>();
        int stack = -1;
        int options = -1;
        List<Column> columns = schema.getColumns();
        for (int position = 0; position < columns.size(); position++) {
            Column column = columns.get(position);
            LogicalType type = column.getDataType().getLogicalType();
            if (column.getName().equalsIgnoreCase(OPTIONS)) {
                require(isTextMap(type), column, "MAP<STRING, STRING>");
                options = position;
            } else {
                require(type.is(LogicalTypeFamily.CHARACTER_STRING), column, "STRING");
                if (column.getName().equalsIgnoreCase(STACK)) {
                    stack = position;
                } else {
                    texts.add(column.getName());
                    textPositions.add(position);
                }
            }
        }
        if (texts.isEmpty()) {
            throw WrittenOptions.invalid("INPUT has no text column. %s.".formatted(SHAPE));
        }
        return new ModelInput(List.copyOf(texts), List.copyOf(textPositions), stack, options);
    }

    private static boolean isTextMap(LogicalType type) {
        return type instanceof MapType map
                && map.getKeyType().is(LogicalTypeFamily.CHARACTER_STRING)
                && map.getValueType().is(LogicalTypeFamily.CHARACTER_STRING);
    }

    private static void require(boolean condition, Column column, String type) {
        if (!condition) {
            throw WrittenOptions.invalid("The INPUT column '%s' is %s, but must be %s. %s."
                    .formatted(column.getName(), column.getDataType(), type, SHAPE));
        }
    }

    /** Empty if one of them is NULL. */
    Optional<Values> read(RowData row) {
        for (int position = 0; position < row.getArity(); position++) {
            if (row.isNullAt(position)) {
                return Optional.empty();
            }
        }
        return Optional.of(new Values(
                textPositions.stream()
                        .map(position -> row.getString(position).toString())
                        .toList(),
                stackPosition < 0 ? "" : row.getString(stackPosition).toString(),
                optionsPosition < 0 ? Map.of() : toMap(row.getMap(optionsPosition))));
    }

    /** A NULL value stays NULL and is rejected like any other invalid option. */
    private static Map<String, String> toMap(MapData data) {
        ArrayData keys = data.keyArray();
        ArrayData values = data.valueArray();
        Map<String, String> map = new HashMap<>();
        for (int i = 0; i < data.size(); i++) {
            map.put(text(keys, i), text(values, i));
        }
        return map;
    }

    @Nullable
    private static String text(ArrayData array, int index) {
        if (array.isNullAt(index)) {
            return null;
        }
        StringData text = array.getString(index);
        return text.toString();
    }
}
