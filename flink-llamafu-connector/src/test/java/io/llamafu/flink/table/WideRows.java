package io.llamafu.flink.table;

import io.llamafu.flink.Notes;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.UnresolvedDataType;
import org.apache.flink.types.Row;

import java.math.BigDecimal;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Rows of an id, columns of many types, and a note. Each has NULL in different columns: the first in all, the second in
 * none.
 */
final class WideRows {
    static final UnresolvedDataType TYPE = DataTypes.of("ROW<id INT, i INT, l BIGINT, d DOUBLE, s STRING, a ARRAY<INT>,"
                    + " m MAP<STRING, STRING>, r ROW<x INT, y STRING>, b BOOLEAN, p DECIMAL(9, 2), t DATE,"
                    + " z TIMESTAMP(3), v VARBINARY(9), note STRING>")
            .notNull();

    private static final int ROWS = 48;
    private static final int COLUMNS = 14;

    private WideRows() {}

    /** Each at the index of its id. */
    static List<Row> all() {
        return IntStream.range(0, ROWS).mapToObj(WideRows::row).toList();
    }

    private static Row row(int id) {
        Row row = Row.of(
                id,
                id * 3,
                id * 5L,
                id / 8.0,
                "text " + id,
                new Integer[] {id, null},
                Map.of("key", "value " + id),
                Row.of(id, null),
                id % 2 == 0,
                BigDecimal.valueOf(id, 2),
                LocalDate.ofEpochDay(id),
                LocalDateTime.of(2024, 2, 29, 0, 0, id),
                new byte[] {(byte) id},
                Notes.text(id));
        for (int column = 1; column < COLUMNS; column++) {
            if (id != 1 && (id == 0 || (id * 31 + column * 17) % 7 < 3)) {
                row.setField(column, null);
            }
        }
        return row;
    }

    /** The first columns of a longer row. */
    static Row columns(Row row) {
        return Row.project(row, IntStream.range(0, COLUMNS).toArray());
    }
}
