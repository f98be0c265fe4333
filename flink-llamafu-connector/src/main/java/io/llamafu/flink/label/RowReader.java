package io.llamafu.flink.label;

import javax.annotation.Nullable;
import java.io.Closeable;
import java.io.IOException;
import java.util.List;

/**
 * Reads the rows of a file in order. A row that is not of the format is a malformed {@link Row}; an exception means that the
 * rest of the file cannot be read.
 */
interface RowReader extends Closeable {
    /** A row of more bytes is malformed. */
    int MOST_ROW_BYTES = 32 << 20;

    /** Null at the end. */
    @Nullable
    Row next() throws IOException;

    /** Where the next row begins. */
    Position position();

    /** What a writer needs to write rows of this file; empty if a row says it all. */
    String schema();

    /** The names of the columns; those of the first row if the format has no others. */
    List<String> columns();
}
