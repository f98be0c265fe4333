package io.llamafu.flink.records;

import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInfoFactory;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.formats.avro.typeutils.AvroSerializer;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;

import java.lang.reflect.Type;
import java.util.Map;

/**
 * The type of our Avro records. Flink would recognize them by their superclass and then look for its Avro format by
 * name; a cluster may have none, or one with relocated Avro classes. The records are therefore annotated with {@link
 * Factory}, and our copy of the format is relocated in the installed jar.
 */
@Internal
public final class RecordTypeInfo<T extends SpecificRecordBase> extends AvroTypeInfo<T> {
    private static final long serialVersionUID = 1L;

    public RecordTypeInfo(Class<T> type) {
        super(type);
    }

    @Override
    public TypeSerializer<T> createSerializer(SerializerConfig config) {
        return new RecordSerializer<>(new AvroSerializer<>(getTypeClass()));
    }

    /** Named by the annotation of each record. */
    @Internal
    public static final class Factory extends TypeInfoFactory<SpecificRecordBase> {
        @Override
        @SuppressWarnings("unchecked") // the annotation is used only on record classes
        public TypeInformation<SpecificRecordBase> createTypeInfo(
                Type type, Map<String, TypeInformation<?>> genericParameters) {
            return new RecordTypeInfo<>((Class<SpecificRecordBase>) type);
        }
    }
}
