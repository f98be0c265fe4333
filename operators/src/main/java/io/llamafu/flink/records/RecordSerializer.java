package io.llamafu.flink.records;

import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.formats.avro.typeutils.AvroSerializer;

import java.io.IOException;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Serializes records like Flink's Avro serializer. The class name that it writes into savepoints is the same with and
 * without relocation.
 */
@Internal
public final class RecordSerializer<T> extends TypeSerializer<T> {
    private static final long serialVersionUID = 1L;

    private final AvroSerializer<T> avro;

    RecordSerializer(AvroSerializer<T> avro) {
        this.avro = checkNotNull(avro, "avro is null");
    }

    /** A task reads its serializers before it restores its state. */
    private Object readResolve() {
        EarlierSavepoints.makeReadable(Thread.currentThread().getContextClassLoader());
        return this;
    }

    @Override
    public boolean isImmutableType() {
        return avro.isImmutableType();
    }

    @Override
    public TypeSerializer<T> duplicate() {
        return new RecordSerializer<>((AvroSerializer<T>) avro.duplicate());
    }

    @Override
    public T createInstance() {
        return avro.createInstance();
    }

    @Override
    public T copy(T from) {
        return avro.copy(from);
    }

    @Override
    public T copy(T from, T reuse) {
        return avro.copy(from, reuse);
    }

    @Override
    public int getLength() {
        return avro.getLength();
    }

    @Override
    public void serialize(T record, DataOutputView target) throws IOException {
        avro.serialize(record, target);
    }

    @Override
    public T deserialize(DataInputView source) throws IOException {
        return avro.deserialize(source);
    }

    @Override
    public T deserialize(T reuse, DataInputView source) throws IOException {
        return avro.deserialize(reuse, source);
    }

    @Override
    public void copy(DataInputView source, DataOutputView target) throws IOException {
        avro.copy(source, target);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RecordSerializer<?> serializer && avro.equals(serializer.avro);
    }

    @Override
    public int hashCode() {
        return avro.hashCode();
    }

    @Override
    public TypeSerializerSnapshot<T> snapshotConfiguration() {
        return new RecordSerializerSnapshot<>(avro.snapshotConfiguration());
    }
}
