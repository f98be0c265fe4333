package io.llamafu.flink.label;

import org.apache.avro.Schema;
import org.apache.avro.file.CodecFactory;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.IndexedRecord;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;

/** Avro container files, compressed with Deflate, which every reader of Avro knows. */
final class AvroWriter implements RowWriter {
    private final Schema schema;
    private final DataFileWriter<GenericRecord> rows;

    AvroWriter(OutputStream out, String inputSchema, String prefix) throws IOException {
        schema = AvroColumns.extended(new Schema.Parser().parse(inputSchema), prefix);
        rows = new DataFileWriter<>(new GenericDatumWriter<>(schema));
        rows.setCodec(CodecFactory.deflateCodec(CodecFactory.DEFAULT_DEFLATE_LEVEL));
        rows.create(schema, new LeftOpen(out));
    }

    @Override
    public void write(Object row, Answer answer) throws IOException {
        rows.append(AvroColumns.extended(schema, (IndexedRecord) row, answer));
    }

    @Override
    public void finish() throws IOException {
        rows.close();
    }

    /** The stream of the output is closed by the one who opened it. */
    static final class LeftOpen extends FilterOutputStream {
        LeftOpen(OutputStream out) {
            super(out);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            out.write(bytes, offset, length);
        }

        @Override
        public void close() throws IOException {
            flush();
        }
    }
}
