package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.core.fs.FSDataOutputStream;

import java.io.IOException;

/** Parquet, whose libraries a user adds if there are such files. */
final class ParquetRows {
    private ParquetRows() {}

    static RowReader read(InputFile file, Position from) throws IOException {
        try {
            return new ParquetRowReader(file, from);
        } catch (NoClassDefFoundError e) {
            throw missing(e);
        }
    }

    static RowWriter write(FSDataOutputStream out, String schema, String prefix) throws IOException {
        try {
            return new ParquetRowWriter(out, schema, prefix);
        } catch (NoClassDefFoundError e) {
            throw missing(e);
        }
    }

    private static LlamafuException missing(NoClassDefFoundError e) {
        return new LlamafuException(
                ErrorCode.INVALID_OPTION,
                "The format is parquet, but the class %s is not on the class path: put parquet-avro with its dependencies, hadoop-client-api and hadoop-client-runtime into lib/, or use another format."
                        .formatted(e.getMessage()),
                e);
    }
}
