package io.llamafu.examples;

import org.apache.avro.file.DataFileStream;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.src.reader.SimpleStreamFormat;
import org.apache.flink.connector.file.src.reader.StreamFormat;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;

import javax.annotation.Nullable;
import java.io.IOException;

/**
 * Avro container files as a format for Flink's FileSource. Each file is read by one subtask.
 *
 * @param <T> a generated record
 */
final class AvroFormat<T extends SpecificRecordBase> extends SimpleStreamFormat<T> {
    private static final long serialVersionUID = 1L;

    private final Class<T> type;

    AvroFormat(Class<T> type) {
        this.type = type;
    }

    @Override
    public StreamFormat.Reader<T> createReader(Configuration configuration, FSDataInputStream stream)
            throws IOException {
        return new AvroReader<>(new DataFileStream<>(stream, new SpecificDatumReader<>(type)));
    }

    @Override
    public TypeInformation<T> getProducedType() {
        return new AvroTypeInfo<>(type);
    }

    private record AvroReader<T>(DataFileStream<T> records) implements StreamFormat.Reader<T> {
        /** Null at the end. */
        @Override
        @Nullable
        public T read() {
            return records.hasNext() ? records.next() : null;
        }

        @Override
        public void close() throws IOException {
            records.close();
        }
    }
}
