package io.llamafu.flink.table;

import io.llamafu.flink.completion.Outcome;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalType;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** The OUTPUT columns of a model, any of {@link OutputColumn} in any order. */
record ModelOutput(List<OutputColumn> columns) implements Serializable {

    ModelOutput {
        columns = List.copyOf(columns);
    }

    /**
     * Reads the columns.
     *
     * @throws io.llamafu.LlamafuException with INVALID_OPTION
     */
    static ModelOutput of(ResolvedSchema schema) {
        List<OutputColumn> columns = new ArrayList<>();
        for (Column column : schema.getColumns()) {
            OutputColumn known = Arrays.stream(OutputColumn.values())
                    .filter(candidate ->
                            candidate.column().equals(column.getName().toLowerCase(Locale.ROOT)))
                    .findFirst()
                    .orElseThrow(() -> WrittenOptions.invalid("There is no OUTPUT column '%s'. The columns are: %s."
                            .formatted(column.getName(), shape())));
            LogicalType type = column.getDataType().getLogicalType();
            if (!type.equals(known.type())) {
                throw WrittenOptions.invalid("The OUTPUT column '%s' is %s, but must be %s. The columns are: %s."
                        .formatted(column.getName(), type, known.type(), shape()));
            }
            columns.add(known);
        }
        return new ModelOutput(columns);
    }

    private static String shape() {
        return Arrays.stream(OutputColumn.values())
                .map(column -> column.column() + " " + column.type().asSummaryString())
                .collect(Collectors.joining(", "));
    }

    boolean hasErrors() {
        return columns.stream().anyMatch(OutputColumn::isError);
    }

    RowData row(Outcome outcome) {
        GenericRowData row = new GenericRowData(columns.size());
        for (int position = 0; position < columns.size(); position++) {
            Object value = columns.get(position).of(outcome);
            row.setField(position, value instanceof String text ? StringData.fromString(text) : value);
        }
        return row;
    }
}
