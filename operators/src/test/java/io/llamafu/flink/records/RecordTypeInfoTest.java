package io.llamafu.flink.records;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.Completion;
import io.llamafu.flink.routing.RoutedRequest;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSchemaCompatibility;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.formats.avro.typeutils.AvroSerializer;
import org.apache.flink.util.InstantiationUtil;
import org.apache.flink.util.MutableURLClassLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URL;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class RecordTypeInfoTest {
    private static final String EARLIER = "org.apache.flink.formats.avro.typeutils.AvroSerializerSnapshot";

    @ParameterizedTest
    @ValueSource(classes = {AdapterRoute.class, Completion.class, RoutedRequest.class})
    void flinkFindsTheTypeOfARecordByItsAnnotation(Class<? extends SpecificRecordBase> type) {
        assertThat(TypeInformation.of(type)).isExactlyInstanceOf(RecordTypeInfo.class);
    }

    @Test
    void recordsWithNullsAreReadAsTheyWereWritten() throws IOException {
        TypeSerializer<AdapterRoute> serializer = serializer();
        AdapterRoute route = new AdapterRoute("acme", null, null, null);
        DataOutputSerializer written = new DataOutputSerializer(64);
        serializer.serialize(route, written);

        assertThat(serializer.deserialize(new DataInputDeserializer(written.getCopyOfBuffer())))
                .isEqualTo(route);
        assertThat(serializer.copy(route)).isEqualTo(route).isNotSameAs(route);
        assertThat(serializer.duplicate()).isEqualTo(serializer);
    }

    @Test
    void savepointsOfFlinksSerializerAreCompatible() throws IOException {
        AvroSerializer<AdapterRoute> earlier = new AvroSerializer<>(AdapterRoute.class);

        assertThat(resolve(earlier.snapshotConfiguration()).isCompatibleAsIs()).isTrue();
        assertThat(resolve(serializer().snapshotConfiguration()).isCompatibleAsIs())
                .isTrue();
    }

    @Test
    @SuppressWarnings({"unchecked", "rawtypes"}) // the other type is the point of the test
    void savepointsOfOtherTypesAreRefused() throws IOException {
        TypeSerializerSnapshot tuple = Types.TUPLE(Types.STRING, Types.STRING)
                .createSerializer(new SerializerConfigImpl())
                .snapshotConfiguration();
        TypeSerializerSnapshot completion = new AvroSerializer<>(Completion.class).snapshotConfiguration();

        assertThat(resolve(tuple).isIncompatible()).isTrue();
        assertThat(resolve(completion).isIncompatible()).isTrue();
    }

    /** State of a job with completions, such as a window over them. */
    @Test
    void completionsWithoutProvenanceCanBeRead() throws IOException {
        List<Schema.Field> fields = Completion.getClassSchema().getFields().stream()
                .filter(field -> !field.name().equals("provenance"))
                .map(field -> new Schema.Field(field, field.schema()))
                .toList();
        Schema before = Schema.createRecord(
                "Completion", "", Completion.getClassSchema().getNamespace(), false, fields);
        GenericRecord written = new GenericRecordBuilder(before)
                .set("text", "cardiology")
                .set("prompt", "a note")
                .build();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<GenericRecord>(before).write(written, encoder);
        encoder.flush();

        Completion read = new SpecificDatumReader<Completion>(before, Completion.getClassSchema())
                .read(null, DecoderFactory.get().binaryDecoder(bytes.toByteArray(), null));

        assertThat(read.getText()).isEqualTo("cardiology");
        assertThat(read.getPrompt()).isEqualTo("a note");
        assertThat(read.getProvenance()).isNull();
    }

    @Test
    void taskOfAJobWithoutFlinksFormatReadsEarlierSavepoints() throws Exception {
        AvroSerializer<AdapterRoute> earlier = new AvroSerializer<>(AdapterRoute.class);
        DataOutputSerializer savepoint = new DataOutputSerializer(64);
        TypeSerializerSnapshot.writeVersionedSnapshot(savepoint, earlier.snapshotConfiguration());
        AdapterRoute route = new AdapterRoute("acme", "medical", 7L, null);
        earlier.serialize(route, savepoint);
        try (JobLoader loader = new JobLoader()) {
            ClassLoader before = Thread.currentThread().getContextClassLoader();
            Thread.currentThread().setContextClassLoader(loader);
            try {
                TypeSerializer<AdapterRoute> unused = InstantiationUtil.clone(serializer(), loader);
            } finally {
                Thread.currentThread().setContextClassLoader(before);
            }
            DataInputDeserializer in = new DataInputDeserializer(savepoint.getCopyOfBuffer());
            TypeSerializerSnapshot<AdapterRoute> read = TypeSerializerSnapshot.readVersionedSnapshot(in, loader);

            assertThat(read.getClass().getClassLoader()).isSameAs(loader);
            assertThat(resolve(read).isCompatibleAsIs()).isTrue();
            assertThat(read.restoreSerializer().deserialize(in)).isEqualTo(route);
        }
    }

    private static TypeSerializer<AdapterRoute> serializer() {
        return new RecordTypeInfo<>(AdapterRoute.class).createSerializer(new SerializerConfigImpl());
    }

    private static TypeSerializerSchemaCompatibility<AdapterRoute> resolve(
            TypeSerializerSnapshot<AdapterRoute> before) {
        return serializer().snapshotConfiguration().resolveSchemaCompatibility(before);
    }

    /** Of a job without a class of that name. */
    private static final class JobLoader extends MutableURLClassLoader {
        JobLoader() {
            super(new URL[0], RecordTypeInfoTest.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.equals(EARLIER)) {
                Class<?> loaded = findLoadedClass(name);
                return loaded == null ? findClass(name) : loaded;
            }
            return super.loadClass(name, resolve);
        }

        @Override
        public MutableURLClassLoader copy() {
            throw new UnsupportedOperationException("Nobody copies it.");
        }
    }
}
