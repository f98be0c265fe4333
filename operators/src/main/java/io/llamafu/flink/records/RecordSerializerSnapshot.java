package io.llamafu.flink.records;

import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.SchemaCompatibilityType;
import org.apache.avro.SchemaNormalization;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSchemaCompatibility;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.formats.avro.typeutils.AvroSerializer;
import org.apache.flink.formats.avro.typeutils.AvroSerializerSnapshot;
import org.apache.flink.util.StringUtils;

import java.io.IOException;
import java.io.UncheckedIOException;

/**
 * The snapshot of a {@link RecordSerializer} in a savepoint: the record's class and schema, in the format of Flink's
 * Avro serializer, which wrote them in earlier versions.
 */
@Internal
public class RecordSerializerSnapshot<T> implements TypeSerializerSnapshot<T> {
    private static final int BUFFER_BYTES = 4096;

    private final TypeSerializerSnapshot<T> avro;

    /** For Flink, which calls {@code readSnapshot} next. */
    public RecordSerializerSnapshot() {
        this(new AvroSerializerSnapshot<>());
    }

    RecordSerializerSnapshot(TypeSerializerSnapshot<T> avro) {
        this.avro = avro;
    }

    @Override
    public int getCurrentVersion() {
        return avro.getCurrentVersion();
    }

    @Override
    public void writeSnapshot(DataOutputView out) throws IOException {
        avro.writeSnapshot(out);
    }

    @Override
    public void readSnapshot(int version, DataInputView in, ClassLoader classLoader) throws IOException {
        avro.readSnapshot(version, in, classLoader);
    }

    @Override
    public TypeSerializer<T> restoreSerializer() {
        return new RecordSerializer<>((AvroSerializer<T>) avro.restoreSerializer());
    }

    /** The previous snapshot may be from an earlier version, read by any Avro format in the cluster. */
    @Override
    public TypeSerializerSchemaCompatibility<T> resolveSchemaCompatibility(TypeSerializerSnapshot<T> before) {
        if (!(before instanceof RecordSerializerSnapshot || EarlierSavepoints.wrote(before))) {
            return TypeSerializerSchemaCompatibility.incompatible();
        }
        Said old = Said.by(before);
        Said now = Said.by(this);
        if (!old.type().equals(now.type())) {
            return TypeSerializerSchemaCompatibility.incompatible();
        }
        if (SchemaNormalization.toParsingForm(old.schema()).equals(SchemaNormalization.toParsingForm(now.schema()))) {
            return TypeSerializerSchemaCompatibility.compatibleAsIs();
        }
        return SchemaCompatibility.checkReaderWriterCompatibility(now.schema(), old.schema())
                        .getType()
                        .equals(SchemaCompatibilityType.COMPATIBLE)
                ? TypeSerializerSchemaCompatibility.compatibleAfterMigration()
                : TypeSerializerSchemaCompatibility.incompatible();
    }

    private record Said(String type, Schema schema) {
        static Said by(TypeSerializerSnapshot<?> snapshot) {
            try {
                DataOutputSerializer written = new DataOutputSerializer(BUFFER_BYTES);
                snapshot.writeSnapshot(written);
                DataInputDeserializer in = new DataInputDeserializer(written.getCopyOfBuffer());
                return new Said(StringUtils.readString(in), new Schema.Parser().parse(StringUtils.readString(in)));
            } catch (IOException e) {
                throw new UncheckedIOException("A snapshot cannot be written into memory.", e);
            }
        }
    }
}
