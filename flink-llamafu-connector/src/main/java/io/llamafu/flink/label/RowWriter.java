package io.llamafu.flink.label;

import javax.annotation.Nullable;
import java.io.IOException;

/** Writes rows with their answers. {@link #finish} completes the file, and leaves the stream open. */
interface RowWriter {
    /**
     * Writes a row.
     *
     * @param record of the row as its reader gave it; null if it was malformed
     */
    void write(@Nullable Object record, Answer answer) throws IOException;

    void finish() throws IOException;
}
