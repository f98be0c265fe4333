package io.llamafu.examples.soak;

import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;

import static org.assertj.core.api.Assertions.assertThat;

class SoakRecordTest {
    private static final SoakRecord HEALTHY = SoakRecord.of(7, "tenant-1", "Seen today.", "medical", 17);
    private static final int VARIANTS = 60;

    @ParameterizedTest
    @EnumSource
    void hostileRecordsArriveAsTheyWereSent(HostileKind kind) throws IOException {
        for (int variant = 0; variant < (kind == HostileKind.GIANT_TEXT ? 1 : VARIANTS); variant++) {
            SoakRecord sent = kind.spoil(HEALTHY, variant);

            SoakRecord read = SoakRecord.read(sent.kafkaKey(), kind.kafkaValue(sent, variant));

            assertThat(read.number()).isEqualTo(7);
            if (kind == HostileKind.INVALID_BYTES) {
                assertThat(read.problem()).isNotBlank();
            } else {
                assertThat(read).isEqualTo(sent);
                assertThat(throughFlink(read)).isEqualTo(sent);
            }
        }
    }

    @Test
    void recordsNeedNoKryo() {
        SerializerConfigImpl config = new SerializerConfigImpl();
        config.setGenericTypes(false);

        assertThat(TypeInformation.of(SoakRecord.class).createSerializer(config))
                .isNotNull();
    }

    private static SoakRecord throughFlink(SoakRecord record) throws IOException {
        TypeSerializer<SoakRecord> serializer =
                TypeInformation.of(SoakRecord.class).createSerializer(new SerializerConfigImpl());
        DataOutputSerializer out = new DataOutputSerializer(64);
        serializer.serialize(record, out);
        return serializer.deserialize(new DataInputDeserializer(out.getCopyOfBuffer()));
    }
}
