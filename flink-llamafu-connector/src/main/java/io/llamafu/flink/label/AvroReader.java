package io.llamafu.flink.label;

import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.file.SeekableInput;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.flink.core.fs.FSDataInputStream;

import javax.annotation.Nullable;
import java.io.IOException;
import java.util.List;

/** Avro container files. A position is the beginning of a block, and rows to skip in it. */
final class AvroReader implements RowReader {
    private final InputFile file;
    private final long length;
    private final DataFileReader<GenericRecord> rows;
    private long block;
    private long inBlock;
    private long number;

    AvroReader(InputFile file, Position from) throws IOException {
        this.file = file;
        this.length = file.length();
        FlinkInput input = new FlinkInput(file.open(), length);
        try {
            rows = new DataFileReader<>(input, new GenericDatumReader<>());
            if (rows.getSchema().getType() != Schema.Type.RECORD) {
                throw new IOException("Its values are no records, but of the type %s."
                        .formatted(rows.getSchema().getType().getName()));
            }
            if (from.offset() > 0) {
                rows.seek(from.offset());
            }
            number = from.line() - from.skip();
            block = rows.previousSync();
            for (long i = 0; i < from.skip(); i++) {
                Row unused = next();
            }
        } catch (IOException | RuntimeException e) {
            input.close();
            throw e;
        }
    }

    @Override
    @Nullable
    public Row next() throws IOException {
        try {
            if (!rows.hasNext()) {
                // Avro takes a file that was cut off for one that ends before the incomplete block.
                if (rows.previousSync() != length) {
                    throw new IOException("It ends within a block, after row %d".formatted(number - 1));
                }
                return null;
            }
            if (rows.previousSync() != block) {
                block = rows.previousSync();
                inBlock = 0;
            }
            GenericRecord record = rows.next();
            inBlock++;
            return AvroColumns.row(file, number++, record);
        } catch (AvroRuntimeException e) {
            throw new IOException("Row %d cannot be read: %s".formatted(number, e.getMessage()), e);
        }
    }

    @Override
    public Position position() {
        return rows.previousSync() == block
                ? new Position(block, inBlock, number)
                : new Position(rows.previousSync(), 0, number);
    }

    @Override
    public String schema() {
        return rows.getSchema().toString();
    }

    @Override
    public List<String> columns() {
        return AvroColumns.names(rows.getSchema());
    }

    @Override
    public void close() throws IOException {
        rows.close();
    }

    private record FlinkInput(FSDataInputStream in, long length) implements SeekableInput {
        @Override
        public void seek(long position) throws IOException {
            in.seek(position);
        }

        @Override
        public long tell() throws IOException {
            return in.getPos();
        }

        @Override
        public int read(byte[] buffer, int offset, int count) throws IOException {
            return in.read(buffer, offset, count);
        }

        @Override
        public void close() throws IOException {
            in.close();
        }
    }
}
