package io.llamafu.flink.label;

import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.IndexedRecord;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.parquet.avro.AvroParquetWriter;
import org.apache.parquet.avro.AvroWriteSupport;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.OutputFile;
import org.apache.parquet.io.PositionOutputStream;

import java.io.IOException;
import java.util.Map;

/** Parquet files of Avro records, compressed with gzip, which needs no library beside Java. */
final class ParquetRowWriter implements RowWriter {
    private final Schema schema;
    private final ParquetWriter<GenericRecord> rows;

    ParquetRowWriter(FSDataOutputStream out, String inputSchema, String prefix) throws IOException {
        schema = AvroColumns.extended(new Schema.Parser().parse(inputSchema), prefix);
        rows = AvroParquetWriter.<GenericRecord>builder(new FlinkFile(out))
                .withSchema(schema)
                .withDataModel(GenericData.get())
                .withConf(new PlainParquetConfiguration(Map.of(AvroWriteSupport.WRITE_OLD_LIST_STRUCTURE, "false")))
                .withCompressionCodec(CompressionCodecName.GZIP)
                .build();
    }

    @Override
    public void write(Object row, Answer answer) throws IOException {
        rows.write(AvroColumns.extended(schema, (IndexedRecord) row, answer));
    }

    @Override
    public void finish() throws IOException {
        rows.close();
    }

    private record FlinkFile(FSDataOutputStream out) implements OutputFile {
        @Override
        public PositionOutputStream create(long blockSizeHint) {
            return new PositionOutputStream() {
                @Override
                public long getPos() throws IOException {
                    return out.getPos();
                }

                @Override
                public void write(int value) throws IOException {
                    out.write(value);
                }

                @Override
                public void write(byte[] bytes, int offset, int length) throws IOException {
                    out.write(bytes, offset, length);
                }

                @Override
                public void flush() throws IOException {
                    out.flush();
                }

                /** The stream of the output is closed by the one who opened it. */
                @Override
                public void close() throws IOException {
                    out.flush();
                }
            };
        }

        @Override
        public PositionOutputStream createOrOverwrite(long blockSizeHint) {
            return create(blockSizeHint);
        }

        @Override
        public boolean supportsBlockSize() {
            return false;
        }

        @Override
        public long defaultBlockSize() {
            return 0;
        }
    }
}
