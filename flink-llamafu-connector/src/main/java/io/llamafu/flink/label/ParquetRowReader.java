package io.llamafu.flink.label;

import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.parquet.ParquetRuntimeException;
import org.apache.parquet.avro.AvroParquetReader;
import org.apache.parquet.avro.AvroReadSupport;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.io.DelegatingSeekableInputStream;
import org.apache.parquet.io.SeekableInputStream;

import javax.annotation.Nullable;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/** Parquet files, read as Avro records. A position is a number of rows to skip. */
final class ParquetRowReader implements RowReader {
    private final InputFile file;
    private final ParquetReader<GenericRecord> rows;
    private String schema = "";
    private List<String> columns = List.of();
    private long number = 1;

    ParquetRowReader(InputFile file, Position from) throws IOException {
        this.file = file;
        this.rows = AvroParquetReader.<GenericRecord>builder(
                        new FlinkFile(file),
                        new PlainParquetConfiguration(Map.of(AvroReadSupport.READ_INT96_AS_FIXED, "true")))
                .withDataModel(GenericData.get())
                .build();
        try {
            for (long i = 0; i < from.skip(); i++) {
                GenericRecord unused = read();
            }
        } catch (IOException | RuntimeException e) {
            rows.close();
            throw e;
        }
    }

    @Override
    @Nullable
    public Row next() throws IOException {
        long read = number;
        GenericRecord record = read();
        if (record == null) {
            return null;
        }
        if (schema.isEmpty()) {
            schema = record.getSchema().toString();
            columns = AvroColumns.names(record.getSchema());
        }
        return AvroColumns.row(file, read, record);
    }

    @Nullable
    private GenericRecord read() throws IOException {
        try {
            GenericRecord record = rows.read();
            number++;
            return record;
        } catch (ParquetRuntimeException | IllegalArgumentException e) {
            throw new IOException("Row %d cannot be read: %s".formatted(number, e.getMessage()), e);
        }
    }

    @Override
    public Position position() {
        return new Position(0, number - 1, number);
    }

    @Override
    public String schema() {
        return schema;
    }

    @Override
    public List<String> columns() {
        return columns;
    }

    @Override
    public void close() throws IOException {
        rows.close();
    }

    private record FlinkFile(InputFile file) implements org.apache.parquet.io.InputFile {
        @Override
        public long getLength() throws IOException {
            return file.length();
        }

        @Override
        public SeekableInputStream newStream() throws IOException {
            FSDataInputStream in = file.open();
            return new DelegatingSeekableInputStream(in) {
                @Override
                public long getPos() throws IOException {
                    return in.getPos();
                }

                @Override
                public void seek(long position) throws IOException {
                    in.seek(position);
                }
            };
        }
    }
}
